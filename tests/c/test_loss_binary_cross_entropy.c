/* Binary cross entropy: known values, rows without a target, gradients against differences, extremes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "loss_laws.h"

enum { M = 4, N = 3 };

/* Logits in -2 .. 2, targets 0, 1 and in between; row 2 has none. */
static mtf_loss_rows fill(mtf_real *y, mtf_real *t)
{
    test_fill(y, M * N, -2.0, 2.0);
    test_fill(t, M * N, 0.0, 1.0);
    t[0] = 0;
    t[1] = 1;
    t[2 * N] = (mtf_real)NAN;
    return (mtf_loss_rows){.y = y, .targets = t, .m = M, .n = N, .settings = &MTF_LOSS_DEFAULTS};
}

MTF_TEST(value_is_the_formula_and_the_gradient_its_difference_quotient)
{
    const mtf_loss_kind *kind = loss_named("binary_cross_entropy");
    mtf_real y[M * N], t[M * N];
    const mtf_loss_rows rows = fill(y, t);
    double want = 0;
    for (int i = 0; i < M * N; i++) {
        const double p = 1 / (1 + exp(-(double)y[i]));
        want -= i / N == 2 ? 0 : ((double)t[i] * log(p) + (1 - (double)t[i]) * log(1 - p)) / N;
    }
    CHECK_CLOSE(kind->value_and_gradient(&rows), want, 1e-9);
    loss_check_gradient(kind, rows, y);
}

MTF_TEST(large_logits_do_not_overflow)
{
    const mtf_real y[] = {30000, -30000, 30000, -30000}, t[] = {1, 0, 0, 1};
    mtf_real dy[4] = {0};
    const mtf_loss_rows rows = {
        .dy = dy, .y = y, .targets = t, .m = 2, .n = 2, .scale = 1, .settings = &MTF_LOSS_DEFAULTS};
    CHECK_CLOSE(loss_named("binary_cross_entropy")->value_and_gradient(&rows), 30000.0, 1e-9);
    CHECK(dy[0] == 0 && dy[1] == 0 && dy[2] == (mtf_real)0.5 && dy[3] == (mtf_real)-0.5);
}

MTF_TEST(targets_are_checked_and_counted)
{
    const mtf_loss_kind *kind = loss_named("binary_cross_entropy");
    mtf_real y[M * N], t[M * N];
    const mtf_loss_rows rows = fill(y, t);
    mtf_loss_counts counts;
    mtf_error err = {0};
    CHECK(kind->check("topics", &rows, &counts, &err) == MTF_OK);
    CHECK_INT(counts.n_labelled, M - 1);
    CHECK(counts.divisor == M - 1);
    t[3 * N + 1] = 2;
    CHECK(kind->check("topics", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "target 2 at row 3, column 1 of \"topics\": expected 0 to 1, or NaN in "
                         "column 0 for a row without a target");
    t[3 * N + 1] = (mtf_real)NAN;
    CHECK(kind->check("topics", &rows, &counts, &err) == MTF_ERR_VALUE);
}

MTF_TEST(non_finite_logits_are_not_hidden)
{
    const mtf_real bad[] = {(mtf_real)NAN, (mtf_real)INFINITY, (mtf_real)-INFINITY};
    for (int b = 0; b < 3; b++) {
        const mtf_real y[] = {bad[b]}, t[] = {(mtf_real)0.5};
        const mtf_loss_rows rows = {
            .y = y, .targets = t, .m = 1, .n = 1, .settings = &MTF_LOSS_DEFAULTS};
        CHECK(!isfinite(loss_named("binary_cross_entropy")->value_and_gradient(&rows)));
    }
}
