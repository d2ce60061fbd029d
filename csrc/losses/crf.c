/* Linear-chain conditional random field: the loss of the labels of whole sequences.
 *
 * An output row has K*K + 2K columns, as csrc/ops/transitions.c gives them: what it scores to come
 * from label i with label j, to begin with j, to end with j. The rows with a label are the chain's
 * words, in order; others are passed over.
 *
 *   score(y) = begin_1(y_1) + sum_t step_t(y_t-1, y_t) + end_m(y_m)
 *   loss     = sum over sequences of  log sum_y exp score(y) - score(labels)
 *   dy      += scale * (expected uses of each score under the model - its use by the labels)
 *
 * The mean is over labelled words of the step, not over sequences, so that it has the size of other
 * losses of words. Forward and backward sums are in double, with the largest term taken off first; a
 * score that is NaN or +inf gives a loss that is not finite, which the step then refuses.
 * Saved: forward sums (M,K) and two rows of backward sums, in `work`. Serial, over sequences in
 * order: K*K terms a word. Tolerance family: reduction. Reference: Lafferty, McCallum, Pereira 2001.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_crf;

/* K of K*K + 2K columns; 0: there is none. */
static int64_t labels_of(int64_t n)
{
    const int64_t k = (int64_t)llround(sqrt((double)n + 1)) - 1;
    return k > 0 && k * k + 2 * k == n ? k : 0;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    const int32_t *labels = rows->targets;
    const int64_t k = labels_of(rows->n);
    int64_t labelled = 0;
    if (k == 0) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss \"crf\" takes an output of K*K + 2K columns for K labels; found "
                        "\"%s\" with %lld",
                        output, (long long)rows->n);
    }
    for (int64_t i = 0; i < rows->m; i++) {
        if (labels[i] == MTF_IGNORE_LABEL) {
            continue;
        }
        if (labels[i] < 0 || labels[i] >= k) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "label %d at row %lld of \"%s\": expected 0..%lld, or %d for no label",
                            labels[i], (long long)i, output, (long long)k - 1, MTF_IGNORE_LABEL);
        }
        labelled++;
    }
    *counts = (mtf_loss_counts){.n_labelled = labelled, .divisor = (double)labelled};
    return MTF_OK;
}

/* Forward sums of every row, then two rows of backward sums. */
static size_t work(const mtf_loss_rows *rows)
{
    const int64_t k = labels_of(rows->n);
    return (size_t)((rows->m + 2) * k);
}

/* A chain of one sequence while it is walked. */
typedef struct chain {
    const mtf_loss_rows *rows;
    const int32_t *labels;
    int64_t k;
    double *before; /* (M,K) log of the summed scores of all ways to a label of a row */
} chain;

static const mtf_real *step_scores(const chain *c, int64_t row)
{
    return c->rows->y + row * c->rows->n;
}

static const mtf_real *begin_scores(const chain *c, int64_t row)
{
    return step_scores(c, row) + c->k * c->k;
}

static const mtf_real *end_scores(const chain *c, int64_t row)
{
    return begin_scores(c, row) + c->k;
}

/* log(sum exp(a_i + scores_i)) over K terms, the scores `stride` apart. */
static double log_sum(const double *a, const mtf_real *scores, int64_t stride, int64_t k)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < k; i++) {
        const double term = a[i] + (double)scores[i * stride];
        top = term > top ? term : top;
    }
    for (int64_t i = 0; i < k; i++) {
        sum += exp(a[i] + (double)scores[i * stride] - top);
    }
    return top + log(sum);
}

/* The next row after `row` and before `last` with a label; `last`: there is none. */
static int64_t next_labelled(const chain *c, int64_t row, int64_t last)
{
    do {
        row++;
    } while (row < last && c->labels[row] == MTF_IGNORE_LABEL);
    return row;
}

/* Forward sums of the words from row `first` on. Returns the score of the labels; *at is the last
 * word's row. */
static double walk_forward(const chain *c, int64_t first, int64_t last, int64_t *at)
{
    const int64_t k = c->k;
    double score = (double)begin_scores(c, first)[c->labels[first]];
    for (int64_t j = 0; j < k; j++) {
        c->before[first * k + j] = (double)begin_scores(c, first)[j];
    }
    *at = first;
    for (int64_t t = next_labelled(c, first, last); t < last; t = next_labelled(c, t, last)) {
        const mtf_real *scores = step_scores(c, t);
        for (int64_t j = 0; j < k; j++) {
            c->before[t * k + j] = log_sum(c->before + *at * k, scores + j, k, k);
        }
        score += (double)scores[(int64_t)c->labels[*at] * k + c->labels[t]];
        *at = t;
    }
    return score + (double)end_scores(c, *at)[c->labels[*at]];
}

/* dy (K) of one label chosen out of K: scale * (exp(log_p) - [j == label]), log_p by `a` + `b`. */
static void add_choice(const chain *c, mtf_real *dy, const double *a, const mtf_real *b,
                       double log_total, int32_t label)
{
    for (int64_t j = 0; j < c->k; j++) {
        const double p = exp((a != NULL ? a[j] : 0) + (double)b[j] - log_total);
        dy[j] += (mtf_real)((double)c->rows->scale * (p - (j == label)));
    }
}

/* Gradients of the words from row `at` back to `first`; after (2,K) are backward sums. */
static void walk_backward(const chain *c, int64_t first, int64_t at, double log_total,
                          double *after)
{
    const int64_t k = c->k, n = c->rows->n;
    double *now = after, *earlier = after + k;
    mtf_real *dy = c->rows->dy;
    add_choice(c, dy + at * n + k * k + k, c->before + at * k, end_scores(c, at), log_total,
               c->labels[at]);
    for (int64_t j = 0; j < k; j++) {
        now[j] = (double)end_scores(c, at)[j];
    }
    while (at > first) {
        int64_t previous = at - 1;
        while (c->labels[previous] == MTF_IGNORE_LABEL) {
            previous--;
        }
        const mtf_real *scores = step_scores(c, at);
        for (int64_t i = 0; i < k; i++) {
            const double reached = c->before[previous * k + i] - log_total;
            for (int64_t j = 0; j < k; j++) {
                const double p = exp(reached + (double)scores[i * k + j] + now[j]);
                const int used = i == c->labels[previous] && j == c->labels[at];
                dy[at * n + i * k + j] += (mtf_real)((double)c->rows->scale * (p - used));
            }
            earlier[i] = log_sum(now, scores + i * k, 1, k);
        }
        double *swapped = now;
        now = earlier;
        earlier = swapped;
        at = previous;
    }
    add_choice(c, dy + first * n + k * k, now, begin_scores(c, first), log_total, c->labels[first]);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    const int64_t k = labels_of(rows->n);
    const chain c = {.rows = rows, .labels = rows->targets, .k = k, .before = rows->work};
    double loss = 0;
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        const int64_t last = rows->offsets[s + 1] - rows->offsets[0];
        const int64_t first = next_labelled(&c, rows->offsets[s] - rows->offsets[0] - 1, last);
        if (first >= last) {
            continue;
        }
        int64_t at;
        const double score = walk_forward(&c, first, last, &at);
        const double log_total = log_sum(c.before + at * k, end_scores(&c, at), 1, k);
        loss += log_total - score;
        if (rows->dy != NULL) {
            walk_backward(&c, first, at, log_total, rows->work + rows->m * k);
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_crf = {.name = "crf",
                                    .targets = MTF_TARGET_LABELS,
                                    .work = work,
                                    .check = check,
                                    .value_and_gradient = value_and_gradient};
