/* Spans: known values, sequences without a target, gradients against differences, the same bits for
 * a part of the rows, and what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses/losses.h"
#include "test.h"

enum { M = 9, N = 2, B = 4, NONE = MTF_IGNORE_LABEL };

/* Sequences of 3, 2, 1 and 3 rows; the second has no target, the third its answer in one row. */
static const int64_t offsets[B + 1] = {4, 7, 9, 10, 13};
static const int32_t targets[M] = {0, 1, 2, NONE, NONE, 3, 1, 0, 2};

static const mtf_loss_kind *span(void)
{
    const mtf_loss_kind *kind = NULL;
    CHECK(mtf_loss_find("span", &kind, NULL) == MTF_OK);
    return kind;
}

static mtf_loss_rows rows_of(mtf_real *dy, const mtf_real *y, mtf_real scale)
{
    return (mtf_loss_rows){.dy = dy,
                           .y = y,
                           .targets = targets,
                           .m = M,
                           .n = N,
                           .offsets = offsets,
                           .n_sequences = B,
                           .scale = scale,
                           .settings = &MTF_LOSS_DEFAULTS};
}

static double value(mtf_real *dy, const mtf_real *y, mtf_real scale)
{
    const mtf_loss_rows rows = rows_of(dy, y, scale);
    return span()->value_and_gradient(&rows);
}

MTF_TEST(equal_logits_give_the_logarithm_of_the_length)
{
    mtf_real y[M * N];
    for (int i = 0; i < M * N; i++) {
        y[i] = 5;
    }
    CHECK_CLOSE(value(NULL, y, 1), log(3) + log(1) + log(3), 1e-12);
}

MTF_TEST(value_is_half_of_both_cross_entropies_over_the_sequence)
{
    mtf_real y[M * N];
    test_fill(y, M * N, -3.0, 3.0);
    double want = 0;
    for (int s = 0; s < B; s++) {
        const int64_t first = offsets[s] - offsets[0], end = offsets[s + 1] - offsets[0];
        for (int c = 0; c < N && targets[first] != NONE; c++) {
            double sum = 0, own = 0;
            for (int64_t i = first; i < end; i++) {
                sum += exp((double)y[i * N + c]);
                own += targets[i] & (1 << c) ? (double)y[i * N + c] : 0;
            }
            want += 0.5 * (log(sum) - own);
        }
    }
    CHECK_CLOSE(value(NULL, y, 1), want, 1e-12);
}

MTF_TEST(sequences_without_a_target_change_nothing)
{
    mtf_real y[M * N], dy[M * N];
    test_fill(y, M * N, -3.0, 3.0);
    for (int i = 0; i < M * N; i++) {
        dy[i] = 7; /* it is added to */
    }
    const double loss = value(dy, y, (mtf_real)0.5);
    CHECK(isfinite(loss));
    for (int i = 0; i < M; i++) {
        const int none = i == 3 || i == 4 || i == 5; /* one row alone has no choice either */
        for (int c = 0; c < N; c++) {
            CHECK((dy[i * N + c] == 7) == none);
        }
    }
    y[3 * N] = (mtf_real)NAN;
    CHECK(value(NULL, y, 1) == loss);
    y[0] = (mtf_real)NAN;
    CHECK(!isfinite(value(NULL, y, 1)));
}

#ifdef MTF_REAL_DOUBLE
MTF_TEST(gradient_is_the_difference_quotient)
{
    mtf_real y[M * N], dy[M * N] = {0};
    const double h = 1e-5;
    test_fill(y, M * N, -2.0, 2.0);
    (void)value(dy, y, 0.25);
    for (int i = 0; i < M * N; i++) {
        const double held = y[i];
        y[i] = held + h;
        const double above = value(NULL, y, 1);
        y[i] = held - h;
        const double below = value(NULL, y, 1);
        y[i] = held;
        CHECK_CLOSE(dy[i], 0.25 * (above - below) / (2 * h), 1e-8);
    }
}
#endif

/* Micro-batches are whole sequences: their sums add up to that of all. */
MTF_TEST(parts_of_the_sequences_add_up)
{
    mtf_real y[M * N], whole[M * N] = {0}, parts[M * N] = {0};
    test_fill(y, M * N, -2.0, 2.0);
    const double loss = value(whole, y, (mtf_real)0.25);
    double sum = 0;
    for (int s = 0; s < B; s++) {
        const int64_t first = offsets[s] - offsets[0];
        mtf_loss_rows rows = rows_of(parts + first * N, y + first * N, (mtf_real)0.25);
        rows.targets = targets + first;
        rows.m = offsets[s + 1] - offsets[s];
        rows.offsets = offsets + s;
        rows.n_sequences = 1;
        sum += span()->value_and_gradient(&rows);
    }
    CHECK_CLOSE(sum, loss, 1e-12);
    for (int i = 0; i < M * N; i++) {
        CHECK(parts[i] == whole[i]);
    }
}

static void check_refused(const int32_t *marks, int64_t n, const char *part)
{
    mtf_loss_counts counts = {0};
    mtf_error err = {0};
    mtf_loss_rows rows = rows_of(NULL, NULL, 1);
    rows.targets = marks;
    rows.n = n;
    CHECK(span()->check("qa", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK(strstr(err.text, part) != NULL);
}

MTF_TEST(targets_are_checked_and_counted)
{
    mtf_loss_counts counts = {0};
    mtf_loss_rows rows = rows_of(NULL, NULL, 1);
    CHECK(span()->check("qa", &rows, &counts, NULL) == MTF_OK);
    CHECK_INT(counts.n_labelled, 3);
    CHECK(counts.divisor == 3);

    const int32_t number[M] = {0, 4, 2, NONE, NONE, 3, 1, 0, 2};
    check_refused(number, N, "target 4 at row 1 of \"qa\"");
    const int32_t twice[M] = {1, 1, 2, NONE, NONE, 3, 1, 0, 2};
    check_refused(twice, N, "found 2 beginnings, 1 ends");
    const int32_t none[M] = {0, 0, 0, NONE, NONE, 3, 1, 0, 2};
    check_refused(none, N, "found 0 beginnings, 0 ends");
    const int32_t backward[M] = {0, 1, 2, NONE, NONE, 3, 2, 0, 1};
    check_refused(backward, N, "the sequence at row 6 of \"qa\"");
    const int32_t half[M] = {0, 1, 2, NONE, 0, 3, 1, 0, 2};
    check_refused(half, N, "1 rows without a target");
    check_refused(targets, 3, "\"qa\" has 3 columns");
}
