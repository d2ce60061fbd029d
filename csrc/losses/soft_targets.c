/* Distillation: a teacher's logits beside the label of a row.
 *
 *   p = softmax(z),  s = softmax(z / T),  q = softmax(teacher / T),  y the label,  a the soft share
 *   loss  = sum over rows with a target of  a T^2 sum_k q_k log(q_k / s_k) + (1 - a) (-log p_y)
 *   dz_j += scale * ( a T (s_j - q_j) + (1 - a) (p_j - [j == y]) )
 *
 * Targets are rows of N + 1 numbers: the label, then the teacher's N logits; NaN first: no target. So
 * the mean over the rows with a target is T^2 torch.nn.KLDivLoss("batchmean") and cross entropy
 * (Hinton, Vinyals, Dean 2015). All in double, with the largest logit taken off first; a row that is
 * not finite gives NaN, which the step then refuses.
 * Serial: a head has few labels, and the sum is over rows in order. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_soft_targets;

static mtf_status check_row(const char *output, const mtf_real *t, int64_t row, int64_t n,
                            mtf_error *err)
{
    const double label = (double)t[0];
    if (!(label >= 0 && label < (double)n) || label != floor(label)) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "label %g at row %lld of \"%s\": expected 0..%lld in column 0, or NaN for a "
            "row without a target",
            label, (long long)row, output, (long long)n - 1);
    }
    for (int64_t j = 1; j <= n; j++) {
        if (!isfinite(t[j])) {
            return mtf_fail(
                err, MTF_ERR_VALUE,
                "logit %g of the teacher at row %lld, column %lld of \"%s\": expected a "
                "finite number",
                (double)t[j], (long long)row, (long long)j - 1, output);
        }
    }
    return MTF_OK;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    return mtf_loss_check_rows(output, rows, rows->n + 1, check_row, counts, err);
}

/* log(sum exp(z / temperature)) of logits (N). */
static double log_total(const mtf_real *z, int64_t n, double temperature)
{
    double top = (double)z[0], sum = 0;
    for (int64_t j = 1; j < n; j++) {
        top = (double)z[j] > top ? (double)z[j] : top;
    }
    for (int64_t j = 0; j < n; j++) {
        sum += exp(((double)z[j] - top) / temperature);
    }
    return top / temperature + log(sum);
}

/* The loss of one row; dz (N) NULL or added to. */
static double row_loss(mtf_real *dz, const mtf_real *z, const mtf_real *t,
                       const mtf_loss_rows *rows)
{
    const int64_t n = rows->n, label = (int64_t)t[0];
    const double temperature = rows->settings->temperature, soft = rows->settings->soft_share;
    const mtf_real *teacher = t + 1;
    const double hard_total = log_total(z, n, 1), soft_total = log_total(z, n, temperature),
                 teacher_total = log_total(teacher, n, temperature);
    double divergence = 0;
    for (int64_t j = 0; j < n; j++) {
        const double log_q = (double)teacher[j] / temperature - teacher_total;
        const double log_s = (double)z[j] / temperature - soft_total;
        const double q = exp(log_q);
        divergence += q * (log_q - log_s);
        if (dz != NULL) {
            const double hard = exp((double)z[j] - hard_total) - (j == label);
            dz[j] += (mtf_real)((double)rows->scale *
                                (soft * temperature * (exp(log_s) - q) + (1 - soft) * hard));
        }
    }
    return soft * temperature * temperature * divergence +
           (1 - soft) * (hard_total - (double)z[label]);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    const mtf_real *wanted = rows->targets;
    const int64_t n = rows->n;
    double loss = 0;
    for (int64_t i = 0; i < rows->m; i++) {
        const mtf_real *t = wanted + i * (n + 1);
        if (!isnan(t[0])) {
            loss += row_loss(rows->dy != NULL ? rows->dy + i * n : NULL, rows->y + i * n, t, rows);
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_soft_targets = {.name = "soft_targets",
                                             .targets = MTF_TARGET_ROWS,
                                             .more_columns = 1,
                                             .settings = MTF_READS_SOFT,
                                             .check = check,
                                             .value_and_gradient = value_and_gradient};
