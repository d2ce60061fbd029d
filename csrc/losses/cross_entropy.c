/* Cross entropy with ignored labels: the loss and the gradient that it injects at a head's output.
 *
 *   p = softmax(z),  y the label of a row,  w class weights (1 where there are none)
 *   loss  = sum over labelled rows of  (1 - e) w_y f(p_y) + e/N sum_k w_k (-log p_k)
 *   f(p)  = -log p, or (1 - p)^g (-log p) where the loss is focal;  e: label smoothing, not with focal
 *   dz_j += scale * ( (1 - e) w_y c (p_j - [j == y]) + e/N (p_j sum_k w_k - w_j) )
 *   c     = -p f'(p):  1, or (1 - p)^g + g p (1 - p)^(g-1) (-log p)
 *
 * A mean divides by the sum of w_y over the labelled rows of the step. So values are those of
 * torch.nn.CrossEntropyLoss(weight, label_smoothing), and of Lin et al. 2017 for focal.
 * Rows labelled MTF_IGNORE_LABEL add nothing to either. The largest logit is taken off first; a row
 * with a NaN or with only -inf gives NaN, which the step then refuses. In double, but for the
 * exponentials of rows of WIDE labels and more, a vocabulary: kernels make those in the type of the
 * logits, and the label's own gradient stays in double.
 * Rows are shared among workers where they are long enough; their values are added in
 * order, so the sum is one at any thread count. Tolerance family: reduction.
 * Derivation: docs/derivations/cross_entropy.md. SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "../kernels/kernels.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_cross_entropy;

enum {
    ROWS = 128,       /* whose values are at hand at a time */
    OPERATIONS = 100, /* of a logit: two exponentials in double, and what is around them */
    WIDE = 1024,      /* labels from which exponentials are those of kernels */
    WIDE_OPERATIONS = 20
};

static double class_weight(const mtf_loss_settings *settings, int64_t j)
{
    return settings->class_weights != NULL ? settings->class_weights[j] : 1.0;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    const int32_t *labels = rows->targets;
    *counts = (mtf_loss_counts){0};
    for (int64_t i = 0; i < rows->m; i++) {
        if (labels[i] == MTF_IGNORE_LABEL) {
            continue;
        }
        if (labels[i] < 0 || labels[i] >= rows->n) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "label %d at row %lld of \"%s\": expected 0..%lld, or %d for no label",
                            labels[i], (long long)i, output, (long long)rows->n - 1,
                            MTF_IGNORE_LABEL);
        }
        counts->n_labelled++;
        counts->divisor += class_weight(rows->settings, labels[i]);
    }
    return MTF_OK;
}

/* log(sum exp) of logits (N), relative to *largest, which is returned too. */
static double log_sum_exp(const mtf_real *logits, int64_t n, double *largest)
{
    if (n >= WIDE) {
        mtf_real most;
        const double total = mtf_kernel->exp_sum(&most, logits, n);
        *largest = (double)most;
        return log(total);
    }
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

/* What a label's own term is of -log p, and the factor c of its gradient. */
typedef struct label_term {
    double value, slope;
} label_term;

static label_term term_of(double surprise, double gamma)
{
    if (gamma == 0) {
        return (label_term){surprise, 1};
    }
    const double missing = -expm1(-surprise); /* 1 - p, with all its digits near p = 1 */
    const double power = pow(missing, gamma);
    const double bend = missing > 0 ? gamma * exp(-surprise) * power / missing * surprise : 0;
    return (label_term){power * surprise, power + bend};
}

/* What smoothing adds to a row: e/N sum_k w_k (-log p_k); *total is sum_k w_k. */
static double spread(const mtf_loss_rows *rows, const mtf_real *z, double log_total, double *total)
{
    double sum = 0;
    *total = 0;
    for (int64_t k = 0; k < rows->n; k++) {
        const double weight = class_weight(rows->settings, k);
        sum += weight * (log_total - (double)z[k]);
        *total += weight;
    }
    return rows->settings->label_smoothing / (double)rows->n * sum;
}

/* The gradient of row i, WIDE labels and more: `slope` p_j, `slope` (p - 1) at the label, and of
 * smoothing `each` (p_j total - w_j). */
static void wide_gradient(const mtf_loss_rows *rows, int64_t i, double top, double log_sum,
                          double slope, double each, double total)
{
    const int32_t label = ((const int32_t *)rows->targets)[i];
    const int64_t n = rows->n;
    const double scale = (double)rows->scale;
    const mtf_real *z = rows->y + i * n;
    mtf_real *dz = rows->dy + i * n;
    const double before = (double)dz[label];
    const double p = exp((double)z[label] - top - log_sum);
    mtf_kernel->exp_add(dz, z, (mtf_real)top,
                        (mtf_real)(scale * (slope + each * total) * exp(-log_sum)), n);
    for (int64_t j = 0; each > 0 && j < n; j++) {
        dz[j] -= (mtf_real)(scale * each * class_weight(rows->settings, j));
    }
    dz[label] =
        (mtf_real)(before + scale * (slope * (p - 1) +
                                     each * (p * total - class_weight(rows->settings, label))));
}

/* The value of labelled row i, and its gradient. */
static double row_loss(const mtf_loss_rows *rows, int64_t i)
{
    const mtf_loss_settings *settings = rows->settings;
    const int32_t label = ((const int32_t *)rows->targets)[i];
    const int64_t n = rows->n;
    const double each = settings->label_smoothing / (double)n;
    const mtf_real *z = rows->y + i * n;
    double top, total = 0;
    const double log_sum = log_sum_exp(z, n, &top);
    const label_term own = term_of(log_sum - ((double)z[label] - top), settings->focal);
    const double share = (1 - settings->label_smoothing) * class_weight(settings, label);
    double value = share * own.value;
    if (each > 0) {
        value += spread(rows, z, top + log_sum, &total);
    }
    if (rows->dy == NULL) {
        return value;
    }
    if (n >= WIDE) {
        wide_gradient(rows, i, top, log_sum, share * own.slope, each, total);
        return value;
    }
    mtf_real *dz = rows->dy + i * n;
    for (int64_t j = 0; j < n; j++) {
        const double p = exp((double)z[j] - top - log_sum);
        double d = share * own.slope * (j == label ? p - 1 : p);
        if (each > 0) {
            d += each * (p * total - class_weight(settings, j));
        }
        dz[j] += (mtf_real)((double)rows->scale * d);
    }
    return value;
}

/* Rows first .. of a loss, and their values. */
typedef struct row_values {
    const mtf_loss_rows *rows;
    int64_t first;
    double values[ROWS];
} row_values;

static void row_item(void *context, int64_t item, int worker)
{
    row_values *part = context;
    const int64_t i = part->first + item;
    (void)worker;
    part->values[item] =
        ((const int32_t *)part->rows->targets)[i] == MTF_IGNORE_LABEL ? 0 : row_loss(part->rows, i);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    row_values part = {.rows = rows};
    const int64_t operations = rows->n >= WIDE ? WIDE_OPERATIONS : OPERATIONS;
    double loss = 0;
    for (; part.first < rows->m; part.first += ROWS) {
        const int64_t left = rows->m - part.first;
        const int64_t count = left < ROWS ? left : ROWS;
        mtf_parallel_work(count, operations * count * rows->n, row_item, &part);
        for (int64_t i = 0; i < count; i++) {
            loss += part.values[i];
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_cross_entropy = {
    .name = "cross_entropy",
    .targets = MTF_TARGET_LABELS,
    .settings = MTF_READS_CLASS_WEIGHTS | MTF_READS_LABEL_SMOOTHING | MTF_READS_FOCAL,
    .check = check,
    .value_and_gradient = value_and_gradient};
