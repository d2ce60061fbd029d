/* Distillation: the formula, rows without a target, gradients against differences, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "loss_laws.h"

enum { M = 4, N = 3, W = N + 1 };

static const mtf_loss_settings SETTINGS[] = {{.temperature = 1, .soft_share = 0.5},
                                             {.temperature = 2, .soft_share = 0.7},
                                             {.temperature = 4, .soft_share = 1},
                                             {.temperature = 0.5, .soft_share = 0}};

static mtf_loss_rows fill(mtf_real *y, mtf_real *t, const mtf_loss_settings *settings)
{
    test_fill(y, M * N, -2.0, 2.0);
    test_fill(t, M * W, -3.0, 3.0);
    for (int i = 0; i < M; i++) {
        t[i * W] = i == 1 ? (mtf_real)NAN : (mtf_real)(i % N);
    }
    return (mtf_loss_rows){.y = y, .targets = t, .m = M, .n = N, .settings = settings};
}

static double share(const mtf_real *z, int j, double temperature)
{
    double sum = 0;
    for (int k = 0; k < N; k++) {
        sum += exp((double)z[k] / temperature);
    }
    return exp((double)z[j] / temperature) / sum;
}

MTF_TEST(value_is_the_formula_and_the_gradient_its_difference_quotient)
{
    const mtf_loss_kind *kind = loss_named("soft_targets");
    for (size_t c = 0; c < sizeof SETTINGS / sizeof *SETTINGS; c++) {
        const double a = SETTINGS[c].soft_share, temperature = SETTINGS[c].temperature;
        mtf_real y[M * N], t[M * W];
        const mtf_loss_rows rows = fill(y, t, &SETTINGS[c]);
        double want = 0;
        for (int i = 0; i < M; i++) {
            const mtf_real *z = y + i * N, *teacher = t + i * W + 1;
            for (int j = 0; i != 1 && j < N; j++) {
                const double q = share(teacher, j, temperature);
                want += a * temperature * temperature * q * log(q / share(z, j, temperature));
            }
            want -= i == 1 ? 0 : (1 - a) * log(share(z, i % N, 1));
        }
        CHECK_CLOSE(kind->value_and_gradient(&rows), want, 1e-9);
        loss_check_gradient(kind, rows, y);
    }
}

MTF_TEST(an_equal_teacher_teaches_nothing)
{
    static const mtf_loss_settings soft = {.temperature = 3, .soft_share = 1};
    const mtf_real y[] = {1, 50, -40}, t[] = {0, 1, 50, -40};
    mtf_real dy[3] = {0};
    const mtf_loss_rows rows = {
        .dy = dy, .y = y, .targets = t, .m = 1, .n = 3, .scale = 1, .settings = &soft};
    CHECK_CLOSE(loss_named("soft_targets")->value_and_gradient(&rows), 0, 1e-12);
    CHECK(dy[0] == 0 && dy[1] == 0 && dy[2] == 0);
}

MTF_TEST(targets_and_settings_are_checked)
{
    const mtf_loss_kind *kind = loss_named("soft_targets");
    mtf_real y[M * N], t[M * W];
    const mtf_loss_rows rows = fill(y, t, &SETTINGS[0]);
    mtf_loss_counts counts;
    mtf_error err = {0};
    CHECK(kind->check("cls", &rows, &counts, &err) == MTF_OK);
    CHECK_INT(counts.n_labelled, M - 1);
    CHECK(mtf_loss_target(kind, t, 2, N) == t + 2 * W);
    t[2 * W] = 3;
    CHECK(kind->check("cls", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "label 3 at row 2 of \"cls\": expected 0..2 in column 0, or NaN for a row "
                         "without a target");
    t[2 * W] = (mtf_real)1.5;
    CHECK(kind->check("cls", &rows, &counts, &err) == MTF_ERR_VALUE);
    t[2 * W] = 1;
    t[2 * W + 3] = (mtf_real)INFINITY;
    CHECK(kind->check("cls", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text,
               "logit inf of the teacher at row 2, column 2 of \"cls\": expected a finite "
               "number");
    for (size_t c = 0; c < sizeof SETTINGS / sizeof *SETTINGS; c++) {
        CHECK(mtf_loss_check_settings(kind, "cls", N, &SETTINGS[c], &err) == MTF_OK);
    }
    mtf_loss_settings bad = {.temperature = 0, .soft_share = 0.5};
    CHECK(mtf_loss_check_settings(kind, "cls", N, &bad, &err) == MTF_ERR_VALUE);
    bad = (mtf_loss_settings){.temperature = 1, .soft_share = 1.5};
    CHECK(mtf_loss_check_settings(kind, "cls", N, &bad, &err) == MTF_ERR_VALUE);
}
