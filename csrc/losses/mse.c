/* Mean squared error with rows that have no target: the loss and the gradient that it injects.
 *
 *   loss = sum over rows with a target of  1/N sum_j (y_j - t_j)^2
 *   dy_j += scale * 2/N (y_j - t_j)
 *
 * A row whose first target is NaN has none, and adds nothing to either. So the mean over the rows
 * with a target is that of torch.nn.MSELoss on these rows. All in double; an output that is not
 * finite gives a sum that is not, which the step then refuses.
 * Serial: a head has few outputs, and the sum is over rows in order. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_mse;

static mtf_status check_row(const char *output, const mtf_real *t, int64_t row, int64_t n,
                            mtf_error *err)
{
    for (int64_t j = 0; j < n; j++) {
        if (!isfinite(t[j])) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "target %g at row %lld, column %lld of \"%s\": expected a finite "
                            "number, or NaN in column 0 for a row without a target",
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
    const mtf_real *values = rows->targets, *y = rows->y;
    mtf_real *dy = rows->dy;
    const int64_t n = rows->n;
    double loss = 0;
    for (int64_t i = 0; i < rows->m; i++) {
        const mtf_real *t = values + i * n;
        if (isnan(t[0])) {
            continue;
        }
        double squares = 0;
        for (int64_t j = 0; j < n; j++) {
            const double d = (double)y[i * n + j] - (double)t[j];
            squares += d * d;
            if (dy != NULL) {
                dy[i * n + j] += (mtf_real)((double)rows->scale * 2 * d / (double)n);
            }
        }
        loss += squares / (double)n;
    }
    return loss;
}

const mtf_loss_kind mtf_loss_mse = {.name = "mse",
                                    .targets = MTF_TARGET_ROWS,
                                    .check = check,
                                    .value_and_gradient = value_and_gradient};
