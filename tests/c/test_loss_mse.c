/* Mean squared error: known values, rows without a target, gradients against differences, what is
 * refused, and that every loss can be found by its name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses/losses.h"
#include "test.h"

enum { M = 5, N = 3 };

#ifdef MTF_REAL_DOUBLE
#define CLOSE 1e-12
#else
#define CLOSE 1e-6
#endif

static const mtf_loss_kind *mse(void)
{
    const mtf_loss_kind *kind = NULL;
    CHECK(mtf_loss_find("mse", &kind, NULL) == MTF_OK);
    return kind;
}

static double value(mtf_real *dy, const mtf_real *y, const mtf_real *t, int64_t m, int64_t n,
                    mtf_real scale)
{
    const mtf_loss_rows rows = {.dy = dy,
                                .y = y,
                                .targets = t,
                                .m = m,
                                .n = n,
                                .scale = scale,
                                .settings = &MTF_LOSS_DEFAULTS};
    return mse()->value_and_gradient(&rows);
}

/* Outputs and targets in -2 .. 2; rows 1 and 3 have no target. */
static void fill(mtf_real *y, mtf_real *t)
{
    test_fill(y, M * N, -2.0, 2.0);
    test_fill(t, M * N, -2.0, 2.0);
    t[1 * N] = t[3 * N] = (mtf_real)NAN;
}

MTF_TEST(value_is_the_mean_over_columns_and_the_sum_over_rows)
{
    const mtf_real y[] = {1, 2, 3, 4};
    const mtf_real t[] = {1, 4, 0, 0};
    CHECK_CLOSE(value(NULL, y, t, 2, 2, 1), 4.0 / 2 + 25.0 / 2, 1e-12);
    CHECK_CLOSE(value(NULL, y, t, 4, 1, 1), 4.0 + 25.0, 1e-12);
}

MTF_TEST(loss_and_gradient_are_the_formula)
{
    mtf_real y[M * N], t[M * N], dy[M * N];
    double want = 0;
    fill(y, t);
    for (int i = 0; i < M * N; i++) {
        dy[i] = 7; /* it is added to */
    }
    const double loss = value(dy, y, t, M, N, (mtf_real)0.5);
    for (int i = 0; i < M; i++) {
        const int labelled = i != 1 && i != 3;
        for (int j = 0; j < N; j++) {
            const double d = labelled ? (double)y[i * N + j] - (double)t[i * N + j] : 0;
            want += d * d / N;
            CHECK_CLOSE(dy[i * N + j], 7 + 0.5 * 2 * d / N, CLOSE);
        }
    }
    CHECK_CLOSE(loss, want, 1e-9);
    CHECK(value(NULL, y, t, M, N, 1) == loss);
}

#ifdef MTF_REAL_DOUBLE
MTF_TEST(gradient_is_the_difference_quotient)
{
    mtf_real y[M * N], t[M * N], dy[M * N] = {0};
    const double h = 1e-3;
    fill(y, t);
    (void)value(dy, y, t, M, N, 0.25);
    for (int i = 0; i < M * N; i++) {
        const double held = y[i];
        y[i] = held + h;
        const double above = value(NULL, y, t, M, N, 1);
        y[i] = held - h;
        const double below = value(NULL, y, t, M, N, 1);
        y[i] = held;
        CHECK_CLOSE(dy[i], 0.25 * (above - below) / (2 * h), 1e-9);
    }
}
#endif

MTF_TEST(rows_without_a_target_change_nothing)
{
    mtf_real y[] = {(mtf_real)NAN, 1}, t[] = {(mtf_real)NAN, 5}, dy[] = {3, 4};
    CHECK(value(dy, y, t, 1, 2, 1) == 0);
    CHECK(dy[0] == 3 && dy[1] == 4);
}

MTF_TEST(non_finite_outputs_are_not_hidden)
{
    const mtf_real bad[] = {(mtf_real)NAN, (mtf_real)INFINITY};
    for (int b = 0; b < 2; b++) {
        const mtf_real y[] = {0, bad[b]}, t[] = {0, 1};
        CHECK(!isfinite(value(NULL, y, t, 1, 2, 1)));
    }
}

MTF_TEST(targets_are_checked_and_counted)
{
    mtf_real y[M * N], t[M * N];
    mtf_error err = {0};
    mtf_loss_counts counts = {0};
    const mtf_loss_rows rows = {.targets = t, .m = M, .n = N, .settings = &MTF_LOSS_DEFAULTS};
    fill(y, t);
    CHECK(mse()->check("score", &rows, &counts, &err) == MTF_OK);
    CHECK_INT(counts.n_labelled, M - 2);
    CHECK(counts.divisor == M - 2);
    t[2 * N + 1] = (mtf_real)NAN;
    CHECK(mse()->check("score", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "target nan at row 2, column 1 of \"score\": expected a finite number, or "
                         "NaN in column 0 for a row without a target");
    t[2 * N + 1] = 0;
    t[4 * N] = (mtf_real)INFINITY;
    CHECK(mse()->check("score", &rows, &counts, &err) == MTF_ERR_VALUE);
}

MTF_TEST(losses_are_found_by_name)
{
    const mtf_loss_kind *kind = NULL;
    mtf_error err = {0};
    for (size_t i = 0; mtf_loss_table[i] != NULL; i++) {
        CHECK(mtf_loss_find(mtf_loss_table[i]->name, &kind, &err) == MTF_OK);
        CHECK(kind == mtf_loss_table[i]);
    }
    CHECK(mtf_loss_find("hinge", &kind, &err) == MTF_ERR_NAME);
    CHECK_TEXT(err.text, "there is no loss \"hinge\"; this build has: binary_cross_entropy, crf, "
                         "cross_entropy, mse, set, soft_targets, span");
}
