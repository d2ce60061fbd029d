/* Binary cross entropy of every output by itself: several labels of a row at once.
 *
 *   loss = sum over rows with a target of  1/N sum_j log(1 + exp(z_j)) - t_j z_j
 *   dz_j += scale * 1/N (sigmoid(z_j) - t_j)
 *
 * A row whose first target is NaN has none, and adds nothing to either. So the mean over the rows
 * with a target is that of torch.nn.BCEWithLogitsLoss on these rows. All in double, with exponents
 * below zero only; a logit that is not finite gives a sum that is not, which the step then refuses.
 * Serial: a head has few labels, and the sum is over rows in order. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_binary_cross_entropy;

static mtf_status check_row(const char *output, const mtf_real *t, int64_t row, int64_t n,
                            mtf_error *err)
{
    for (int64_t j = 0; j < n; j++) {
        if (!(t[j] >= 0 && t[j] <= 1)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "target %g at row %lld, column %lld of \"%s\": expected 0 to 1, or "
                            "NaN in column 0 for a row without a target",
                            (double)t[j], (long long)row, (long long)j, output);
        }
    }
    return MTF_OK;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    return mtf_loss_check_rows(output, rows, rows->n, check_row, counts, err);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    const mtf_real *wanted = rows->targets;
    const int64_t n = rows->n;
    double loss = 0;
    for (int64_t i = 0; i < rows->m; i++) {
        const mtf_real *t = wanted + i * n;
        if (isnan(t[0])) {
            continue;
        }
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            const double z = (double)rows->y[i * n + j];
            const double small = exp(-fabs(z)); /* at most 1 */
            sum += (z > 0 ? z : 0) - (double)t[j] * z + log1p(small);
            if (rows->dy != NULL) {
                const double p = (z > 0 ? 1 : small) / (1 + small);
                rows->dy[i * n + j] +=
                    (mtf_real)((double)rows->scale * (p - (double)t[j]) / (double)n);
            }
        }
        loss += sum / (double)n;
    }
    return loss;
}

const mtf_loss_kind mtf_loss_binary_cross_entropy = {.name = "binary_cross_entropy",
                                                     .targets = MTF_TARGET_ROWS,
                                                     .check = check,
                                                     .value_and_gradient = value_and_gradient};
