/* Cross entropy with ignored labels: the loss and the gradient that it injects at a head's output.
 *
 *   loss = sum over labelled rows of log(sum_j exp(z_j)) - z_label
 *   dz_j += scale * (softmax(z)_j - [j == label])
 *
 * Rows labelled MTF_IGNORE_LABEL add nothing to either. All in double, with the largest logit
 * taken off first; a row with a NaN or with only -inf gives NaN, which the step then refuses.
 * Serial: a head has few labels, and the sum is over rows in order. Tolerance family: reduction.
 * Derivation: docs/derivations/cross_entropy.md. SPDX-License-Identifier: Apache-2.0 */
#include "../ops/ops.h"

#include <math.h>

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

double mtf_cross_entropy(mtf_real *dlogits, const mtf_real *logits, const int32_t *labels,
                         int64_t m, int64_t n, mtf_real scale)
{
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
