/* Assignments: against all ways of assigning, more rows than columns, ties, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "mtfreeze.h"
#include "test.h"

enum { MOST = 6 };

/* The least cost of giving rows i .. n - 1 columns that are not taken. */
static double least(const double *cost, int n, int m, int i, unsigned taken)
{
    double best = i == n ? 0 : INFINITY;
    for (int j = 0; i < n && j < m; j++) {
        if ((taken >> j & 1U) == 0) {
            best = fmin(best, cost[i * m + j] + least(cost, n, m, i + 1, taken | 1U << j));
        }
    }
    return best;
}

/* What the columns cost; they differ, and are as many as there can be. */
static double found(const double *cost, int n, int m, const int64_t *columns)
{
    unsigned taken = 0;
    double sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (columns[i] >= 0) {
            CHECK(columns[i] < m && (taken >> columns[i] & 1U) == 0);
            taken |= 1U << columns[i];
            sum += cost[i * m + columns[i]];
            count++;
        }
    }
    CHECK_INT(count, n < m ? n : m);
    return sum;
}

MTF_TEST(cost_is_the_least_of_all_ways)
{
    for (int round = 0; round < 400; round++) {
        double cost[MOST * MOST], turned[MOST * MOST];
        int64_t columns[MOST], rows[MOST];
        const int n = (int)test_integer(0, MOST), m = (int)test_integer(n, MOST);
        for (int i = 0; i < n * m; i++) {
            cost[i] = round % 2 ? test_uniform(-3, 3) : (double)test_integer(-1, 2);
            turned[i % m * n + i / m] = cost[i];
        }
        CHECK(mtf_assignment(cost, n, m, columns, NULL) == MTF_OK);
        CHECK_CLOSE(found(cost, n, m, columns), least(cost, n, m, 0, 0), 1e-12);
        CHECK(mtf_assignment(turned, m, n, rows, NULL) == MTF_OK);
        CHECK_CLOSE(found(turned, m, n, rows), least(cost, n, m, 0, 0), 1e-12);
        for (int i = 0; i < n && n < m; i++) { /* the same one, not only as cheap */
            CHECK_INT(rows[columns[i]], i);
        }
    }
}

MTF_TEST(first_columns_win_among_equal_ones)
{
    static const double cost[3 * 5] = {0};
    int64_t columns[3];
    CHECK(mtf_assignment(cost, 3, 5, columns, NULL) == MTF_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(columns[i], i);
    }
}

MTF_TEST(costs_that_are_no_numbers_are_refused)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 2e300};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const double cost[4] = {1, 2, bad[i], 3};
        int64_t columns[2];
        mtf_error err = {0};
        CHECK(mtf_assignment(cost, 2, 2, columns, &err) == MTF_ERR_VALUE);
        CHECK(strstr(err.text, "at row 1, column 0: expected a finite number") != NULL);
    }
    const double large[4] = {1e300, -1e300, -1e300, 1e300};
    int64_t columns[2];
    mtf_error err = {0};
    CHECK(mtf_assignment(large, 2, 2, columns, NULL) == MTF_OK);
    CHECK_INT(columns[0], 1);
    CHECK(mtf_assignment(large, -1, 2, columns, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "costs must have 0 to 16777216 rows and columns, found -1 and 2");
}
