/* Cross entropy: known values, ignored rows, gradients against differences, extremes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "losses/losses.h"
#include "test.h"

#include <string.h>

enum { M = 6, N = 5 };

#ifdef MTF_REAL_DOUBLE
#define CLOSE 1e-12
#else
#define CLOSE 1e-6
#endif

static const int32_t labels[M] = {4, MTF_IGNORE_LABEL, 0, 2, MTF_IGNORE_LABEL, 2};

static const mtf_loss_kind *kind(void)
{
    const mtf_loss_kind *found = NULL;
    CHECK(mtf_loss_find("cross_entropy", &found, NULL) == MTF_OK);
    return found;
}

static double cross_entropy(mtf_real *dlogits, const mtf_real *logits, const int32_t *targets,
                            int64_t m, int64_t n, mtf_real scale)
{
    const mtf_loss_rows rows = {.dy = dlogits,
                                .y = logits,
                                .targets = targets,
                                .m = m,
                                .n = n,
                                .scale = scale,
                                .settings = &MTF_LOSS_DEFAULTS};
    return kind()->value_and_gradient(&rows);
}

static const double weights[N] = {0.5, 1.0, 2.5, 0.75, 3.0};
static const mtf_loss_settings SETTINGS[] = {
    {.temperature = 1, .soft_share = 0.5, .class_weights = weights, .n_class_weights = N},
    {.temperature = 1, .soft_share = 0.5, .label_smoothing = 0.1},
    {.temperature = 1,
     .soft_share = 0.5,
     .label_smoothing = 0.25,
     .class_weights = weights,
     .n_class_weights = N},
    {.temperature = 1, .soft_share = 0.5, .focal = 2},
    {.temperature = 1,
     .soft_share = 0.5,
     .focal = 0.5,
     .class_weights = weights,
     .n_class_weights = N},
};

/* What the head of the file says of a row's loss, in plain words. */
static double row_loss(const mtf_real *z, int32_t label, const mtf_loss_settings *s)
{
    double sum = 0, smooth = 0;
    for (int k = 0; k < N; k++) {
        sum += exp((double)z[k]);
    }
    for (int k = 0; k < N; k++) {
        const double w = s->class_weights != NULL ? weights[k] : 1;
        smooth -= w * log(exp((double)z[k]) / sum) / N;
    }
    const double p = exp((double)z[label]) / sum;
    const double w = s->class_weights != NULL ? weights[label] : 1;
    return (1 - s->label_smoothing) * w * pow(1 - p, s->focal) * -log(p) +
           s->label_smoothing * smooth;
}

MTF_TEST(settings_are_the_formula_and_their_gradient_the_difference_quotient)
{
    for (size_t c = 0; c < sizeof SETTINGS / sizeof *SETTINGS; c++) {
        mtf_real z[M * N], dz[M * N] = {0};
        double want = 0;
        test_fill(z, M * N, -2.0, 2.0);
        mtf_loss_rows rows = {.dy = dz,
                              .y = z,
                              .targets = labels,
                              .m = M,
                              .n = N,
                              .scale = (mtf_real)0.25,
                              .settings = &SETTINGS[c]};
        const double found = kind()->value_and_gradient(&rows);
        for (int i = 0; i < M; i++) {
            want +=
                labels[i] == MTF_IGNORE_LABEL ? 0 : row_loss(z + i * N, labels[i], rows.settings);
        }
        CHECK_CLOSE(found, want, 1e-9);
        rows.dy = NULL;
        for (int i = 0; i < M * N; i++) {
            const mtf_real held = z[i];
            const double h = sizeof(mtf_real) == 8 ? 1e-5 : 1.0 / 256;
            z[i] = held + (mtf_real)h;
            const double above = kind()->value_and_gradient(&rows);
            z[i] = held - (mtf_real)h;
            const double below = kind()->value_and_gradient(&rows);
            z[i] = held;
            CHECK_CLOSE(dz[i], 0.25 * (above - below) / (2 * h),
                        sizeof(mtf_real) == 8 ? 1e-9 : 1e-4);
        }
    }
}

MTF_TEST(focal_is_finite_where_the_label_is_certain)
{
    static const mtf_loss_settings focal = {.temperature = 1, .soft_share = 0.5, .focal = 0.5};
    const int32_t one[] = {0};
    const mtf_real z[] = {200, -200};
    mtf_real dz[2] = {0};
    const mtf_loss_rows rows = {
        .dy = dz, .y = z, .targets = one, .m = 1, .n = 2, .scale = 1, .settings = &focal};
    CHECK(kind()->value_and_gradient(&rows) == 0);
    CHECK(dz[0] == 0 && dz[1] == 0);
}

MTF_TEST(a_weighted_mean_divides_by_the_weights)
{
    mtf_loss_rows rows = {.targets = labels, .m = M, .n = N, .settings = &SETTINGS[0]};
    mtf_loss_counts counts;
    CHECK(kind()->check("cls", &rows, &counts, NULL) == MTF_OK);
    CHECK_INT(counts.n_labelled, 4);
    CHECK_CLOSE(counts.divisor, 3.0 + 0.5 + 2.5 + 2.5, 1e-12);
    rows.settings = &MTF_LOSS_DEFAULTS;
    CHECK(kind()->check("cls", &rows, &counts, NULL) == MTF_OK);
    CHECK(counts.divisor == 4);
}

MTF_TEST(settings_are_checked)
{
    mtf_error err = {0};
    mtf_loss_settings s = MTF_LOSS_DEFAULTS;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_OK);
    s.label_smoothing = 1;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "label_smoothing of the loss of \"cls\" must be at least 0 and below 1, "
                         "found 1");
    s.label_smoothing = 0.1;
    s.focal = 2;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    s.label_smoothing = 0;
    s.focal = -1;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    s.focal = (double)NAN;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    s = SETTINGS[0];
    s.n_class_weights = N - 1;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    const double zero[N] = {1, 1, 0, 1, 1};
    s = SETTINGS[0];
    s.class_weights = zero;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text,
               "class weight 2 of the loss of \"cls\" must be finite and above 0, found 0");
    s = MTF_LOSS_DEFAULTS;
    s.temperature = 2;
    CHECK(mtf_loss_check_settings(kind(), "cls", N, &s, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "the loss \"cross_entropy\" of \"cls\" reads fewer settings than were "
                         "given; leave those of other losses at their defaults");
}

MTF_TEST(equal_logits_cost_log_n)
{
    mtf_real logits[M * N];
    for (int i = 0; i < M * N; i++) {
        logits[i] = (mtf_real)(3 + i / N); /* equal within a row */
    }
    CHECK_CLOSE(cross_entropy(NULL, logits, labels, M, N, 1), 4 * log(5.0), 1e-12);
}

MTF_TEST(loss_and_gradient_are_the_formula)
{
    mtf_real logits[M * N];
    mtf_real dlogits[M * N];
    double want = 0;
    test_fill(logits, M * N, -3.0, 3.0);
    for (int i = 0; i < M * N; i++) {
        dlogits[i] = 7; /* it is added to */
    }
    double loss = cross_entropy(dlogits, logits, labels, M, N, (mtf_real)0.5);
    for (int i = 0; i < M; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++) {
            sum += exp((double)logits[i * N + j]);
        }
        for (int j = 0; j < N; j++) {
            double p = exp((double)logits[i * N + j]) / sum;
            double d = labels[i] == MTF_IGNORE_LABEL ? 0 : 0.5 * (p - (j == labels[i]));
            CHECK_CLOSE(dlogits[i * N + j], 7 + d, CLOSE);
        }
        if (labels[i] != MTF_IGNORE_LABEL) {
            want += log(sum) - (double)logits[i * N + labels[i]];
        }
    }
    CHECK_CLOSE(loss, want, 1e-9);
    CHECK(cross_entropy(NULL, logits, labels, M, N, 1) == loss);
}

#ifdef MTF_REAL_DOUBLE
MTF_TEST(gradient_is_the_difference_quotient)
{
    mtf_real logits[M * N];
    mtf_real dlogits[M * N] = {0};
    const double h = 1e-3;
    test_fill(logits, M * N, -2.0, 2.0);
    (void)cross_entropy(dlogits, logits, labels, M, N, 0.25);
    for (int i = 0; i < M * N; i++) {
        const double held = logits[i];
        double sum = 0;
        for (int k = -2; k <= 2; k++) {
            static const double factors[] = {1, -8, 0, 8, -1};
            logits[i] = held + k * h;
            sum += factors[k + 2] * cross_entropy(NULL, logits, labels, M, N, 1);
        }
        logits[i] = held;
        CHECK_CLOSE(dlogits[i], 0.25 * sum / (12 * h), 1e-6 * 0.25);
    }
}
#endif

/* Rows of a vocabulary, whose exponentials are those of kernels: value and gradient are the formula's
 * in double, and a row's own whatever stands beside it. */
static void check_wide(const mtf_loss_settings *settings)
{
    enum { ROWS_IN = 3, WORDS = 1500 };
    static mtf_real z[ROWS_IN * WORDS], dz[ROWS_IN * WORDS], alone[WORDS];
    static const int32_t words[ROWS_IN] = {WORDS - 1, MTF_IGNORE_LABEL, 7};
    const double each = settings->label_smoothing / WORDS;
    double want = 0;
    test_fill(z, ROWS_IN * WORDS, -9.0, 9.0);
    z[2 * WORDS + 7] = 25; /* a label that is nearly certain */
    for (int i = 0; i < ROWS_IN * WORDS; i++) {
        dz[i] = 0.5; /* it is added to */
    }
    mtf_loss_rows rows = {.dy = dz,
                          .y = z,
                          .targets = words,
                          .m = ROWS_IN,
                          .n = WORDS,
                          .scale = (mtf_real)0.25,
                          .settings = settings};
    const double found = kind()->value_and_gradient(&rows);
    for (int i = 0; i < ROWS_IN; i++) {
        const mtf_real *row = z + i * WORDS;
        double sum = 0, smooth = 0;
        for (int j = 0; j < WORDS; j++) {
            sum += exp((double)row[j]);
        }
        if (words[i] == MTF_IGNORE_LABEL) {
            CHECK(dz[i * WORDS] == (mtf_real)0.5 && dz[i * WORDS + WORDS - 1] == (mtf_real)0.5);
            continue;
        }
        const double missing = 1 - exp((double)row[words[i]]) / sum;
        const double surprise = log(sum) - (double)row[words[i]];
        const double power = pow(missing, settings->focal);
        const double slope =
            power + (settings->focal > 0 ? settings->focal * (1 - missing) *
                                               pow(missing, settings->focal - 1) * surprise
                                         : 0);
        for (int j = 0; j < WORDS; j++) {
            const double p = exp((double)row[j]) / sum;
            const double d = (1 - settings->label_smoothing) * slope * (p - (j == words[i])) +
                             each * (p * WORDS - 1);
            smooth += each * (log(sum) - (double)row[j]);
            CHECK_CLOSE(dz[i * WORDS + j], 0.5 + 0.25 * d, CLOSE);
        }
        want += (1 - settings->label_smoothing) * power * surprise + smooth;
    }
    CHECK_CLOSE(found, want, CLOSE * want);
    for (int j = 0; j < WORDS; j++) {
        alone[j] = 0.5;
    }
    rows.y = z + 2 * WORDS, rows.dy = alone, rows.targets = words + 2, rows.m = 1;
    (void)kind()->value_and_gradient(&rows);
    CHECK(memcmp(alone, dz + 2 * WORDS, sizeof alone) == 0);
}

MTF_TEST(a_vocabulary_is_the_formula_at_every_level)
{
    static const mtf_loss_settings smooth = {
        .temperature = 1, .soft_share = 0.5, .label_smoothing = 0.1};
    static const mtf_loss_settings focal = {.temperature = 1, .soft_share = 0.5, .focal = 2};
    mtf_error err = {0};
    mtf_runtime_info info;
    char names[MTF_KERNELS_LIST];
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
    mtf_runtime_get_info(&info);
    (void)snprintf(names, sizeof names, "%s", info.isa_available);
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
        if (CHECK_MSG(mtf_runtime_init(name, &err) == MTF_OK, err.text)) {
            check_wide(&MTF_LOSS_DEFAULTS);
            check_wide(&smooth);
            check_wide(&focal);
        }
    }
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
}

MTF_TEST(large_logits_do_not_overflow)
{
    const int32_t two[] = {0, 1};
    mtf_real logits[] = {30000, -30000, 30000, -30000};
    mtf_real dlogits[4] = {0};
    CHECK_CLOSE(cross_entropy(dlogits, logits, two, 2, 2, 1), 60000.0, 1e-9);
    CHECK(dlogits[0] == 0 && dlogits[1] == 0 && dlogits[2] == 1 && dlogits[3] == -1);
}

MTF_TEST(non_finite_logits_are_not_hidden)
{
    const int32_t one[] = {1};
    const mtf_real bad[] = {(mtf_real)NAN, (mtf_real)INFINITY};
    for (int b = 0; b < 2; b++) {
        for (int at = 0; at < 3; at++) {
            mtf_real logits[] = {0, 1, 2};
            logits[at] = bad[b];
            CHECK(!isfinite(cross_entropy(NULL, logits, one, 1, 3, 1)));
        }
    }
}

MTF_TEST(rows_without_labels_change_nothing)
{
    const int32_t ignored[] = {MTF_IGNORE_LABEL, MTF_IGNORE_LABEL};
    mtf_real logits[] = {(mtf_real)NAN, 1, 2, 3};
    mtf_real dlogits[] = {5, 6, 7, 8};
    CHECK(cross_entropy(dlogits, logits, ignored, 2, 2, 1) == 0);
    CHECK(dlogits[0] == 5 && dlogits[1] == 6 && dlogits[2] == 7 && dlogits[3] == 8);
}
