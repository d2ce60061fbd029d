/* Cross entropy: known values, ignored rows, gradients against differences, extremes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses/losses.h"
#include "test.h"

enum { M = 6, N = 5 };

#ifdef MTF_REAL_DOUBLE
#define CLOSE 1e-12
#else
#define CLOSE 1e-6
#endif

static const int32_t labels[M] = {4, MTF_IGNORE_LABEL, 0, 2, MTF_IGNORE_LABEL, 2};

static double cross_entropy(mtf_real *dlogits, const mtf_real *logits, const int32_t *targets,
                            int64_t m, int64_t n, mtf_real scale)
{
    const mtf_loss_kind *kind = NULL;
    CHECK(mtf_loss_find("cross_entropy", &kind, NULL) == MTF_OK);
    return kind->value_and_gradient(dlogits, logits, targets, m, n, scale);
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
