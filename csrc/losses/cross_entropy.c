/* Cross entropy with ignored labels: the loss and the gradient that it injects at a head's output.
 *
 *   loss = sum over labelled rows of log(sum_j exp(z_j)) - z_label
 *   dz_j += scale * (softmax(z)_j - [j == label])
 *
 * Rows labelled MTF_IGNORE_LABEL add nothing to either. All in double, with the largest logit
 * taken off first; a row with a NaN or with only -inf gives NaN, which the step then refuses.
 * Serial: a head has few labels, and the sum is over rows in order. Tolerance family: reduction.
 * Derivation: docs/derivations/cross_entropy.md. SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_cross_entropy;

static mtf_status check(const char *output, const void *targets, int64_t m, int64_t n,
                        int64_t *n_labelled, mtf_error *err)
{
    const int32_t *labels = targets;
    int64_t labelled = 0;
    for (int64_t i = 0; i < m; i++) {
        if (labels[i] == MTF_IGNORE_LABEL) {
            continue;
        }
        if (labels[i] < 0 || labels[i] >= n) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "label %d at row %lld of \"%s\": expected 0..%lld, or %d for no label",
                            labels[i], (long long)i, output, (long long)n - 1, MTF_IGNORE_LABEL);
        }
        labelled++;
    }
    *n_labelled = labelled;
    return MTF_OK;
}

/* log(sum exp) of logits (N), relative to *largest, which is returned too. */
static double log_sum_exp(const mtf_real *logits, int64_t n, double *largest)
{
    double top = (double)logits[0];
    for (int64_t j = 1; j < n; j++) {
        top = (double)logits[j] > top ? (double)logits[j] : top;
    }
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        sum += exp((double)logits[j] - top);
    }
    *largest = top;
    return log(sum);
}

static double value_and_gradient(mtf_real *dlogits, const mtf_real *logits, const void *targets,
                                 int64_t m, int64_t n, mtf_real scale)
{
    const int32_t *labels = targets;
    double loss = 0;
    for (int64_t i = 0; i < m; i++) {
        int32_t label = labels[i];
        if (label == MTF_IGNORE_LABEL) {
            continue;
        }
        const mtf_real *z = logits + i * n;
        double top;
        double log_sum = log_sum_exp(z, n, &top);
        loss += log_sum - ((double)z[label] - top);
        if (dlogits == NULL) {
            continue;
        }
        mtf_real *dz = dlogits + i * n;
        for (int64_t j = 0; j < n; j++) {
            double p = exp((double)z[j] - top - log_sum);
            dz[j] += (mtf_real)((double)scale * (j == label ? p - 1 : p));
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_cross_entropy = {"cross_entropy", MTF_TARGET_LABELS, check,
                                              value_and_gradient};
