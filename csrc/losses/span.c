/* Spans: where an answer begins and where it ends in each sequence; the loss and its gradient.
 *
 *   z (M,2): logits of each row of being the first and of being the last of the answer
 *   a, b: the rows of a sequence where its answer begins and ends
 *   loss = sum over sequences of  (L_0 - z_a0)/2 + (L_1 - z_b1)/2,   L_c = log(sum_i exp(z_ic))
 *   dz_ic += scale/2 * (softmax_i(z_.c) - [i is the target of c])     over the sequence's rows i
 *
 * A row's target is a sum of marks: 1 the answer begins, 2 it ends, 4 the sequence begins. A sequence
 * has each of them once, or MTF_IGNORE_LABEL in all of its rows; the latter add nothing. A mean divides by the number of sequences that have a target. All in double, with the
 * largest logit taken off first; a NaN, or only -inf, gives NaN, which the step then refuses.
 * Serial: two columns, and the sum is over rows in order. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>

enum { BEGINS = 1, ENDS = 2, FIRST = 4, COLUMNS = 2 };

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_span;

/* Where the answer of one sequence lies, counted in its rows; -1: nowhere yet. */
typedef struct span_target {
    int64_t at[COLUMNS];
} span_target;

static span_target find_target(const int32_t *marks, int64_t n_rows)
{
    span_target found = {{-1, -1}};
    for (int64_t i = 0; i < n_rows; i++) {
        for (int c = 0; c < COLUMNS; c++) {
            if (marks[i] & (1 << c)) {
                found.at[c] = i;
            }
        }
    }
    return found;
}

/* Whether one sequence's targets, which begin at row `first`, are whole; *labelled: it has one. */
static mtf_status check_sequence(const char *output, const int32_t *marks, int64_t first,
                                 int64_t n_rows, int64_t *labelled, mtf_error *err)
{
    int64_t n[COLUMNS] = {0, 0}, n_ignored = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        if (marks[i] == MTF_IGNORE_LABEL) {
            n_ignored++;
            continue;
        }
        if (marks[i] < 0 || marks[i] > (BEGINS | ENDS | FIRST) ||
            ((marks[i] & FIRST) != 0) != (i == 0)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "target %d at row %lld of \"%s\": expected 1 where an answer begins, 2 "
                            "where it ends and 4 where a sequence begins, added up, or %d for no "
                            "target",
                            marks[i], (long long)(first + i), output, MTF_IGNORE_LABEL);
        }
        n[0] += (marks[i] & BEGINS) != 0;
        n[1] += (marks[i] & ENDS) != 0;
    }
    *labelled = n_ignored < n_rows;
    if (!*labelled) {
        return MTF_OK;
    }
    const span_target found = find_target(marks, n_ignored == 0 ? n_rows : 0);
    if (n_ignored > 0 || n[0] != 1 || n[1] != 1 || found.at[0] > found.at[1]) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "targets of the sequence at row %lld of \"%s\": expected one beginning and "
                        "one end not before it, or %d in every row; found %lld beginnings, %lld "
                        "ends and %lld rows without a target",
                        (long long)first, output, MTF_IGNORE_LABEL, (long long)n[0],
                        (long long)n[1], (long long)n_ignored);
    }
    return MTF_OK;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    *counts = (mtf_loss_counts){0};
    if (rows->n != COLUMNS) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "\"%s\" has %lld columns: expected %d for the loss \"span\", of where an "
                        "answer begins and where it ends",
                        output, (long long)rows->n, COLUMNS);
    }
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        const int64_t first = rows->offsets[s] - rows->offsets[0];
        int64_t labelled = 0;
        MTF_TRY(check_sequence(output, (const int32_t *)rows->targets + first, first,
                               rows->offsets[s + 1] - rows->offsets[s], &labelled, err));
        counts->n_labelled += labelled;
    }
    counts->divisor = (double)counts->n_labelled;
    return MTF_OK;
}

/* -log of the share of row `target` in column z, whose rows stand COLUMNS apart; dz likewise. */
static double column(mtf_real *dz /* (n_rows,2) from the column on, or NULL */,
                     const mtf_real *z /* (n_rows,2) from the column on */, int64_t n_rows,
                     int64_t target, double scale)
{
    double top = (double)z[0], sum = 0;
    for (int64_t i = 1; i < n_rows; i++) {
        top = (double)z[i * COLUMNS] > top ? (double)z[i * COLUMNS] : top;
    }
    for (int64_t i = 0; i < n_rows; i++) {
        sum += exp((double)z[i * COLUMNS] - top);
    }
    for (int64_t i = 0; i < n_rows && dz != NULL; i++) {
        const double p = exp((double)z[i * COLUMNS] - top) / sum;
        dz[i * COLUMNS] += (mtf_real)(scale * (i == target ? p - 1 : p));
    }
    return log(sum) - ((double)z[target * COLUMNS] - top);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    double loss = 0;
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        const int64_t first = rows->offsets[s] - rows->offsets[0];
        const int64_t n_rows = rows->offsets[s + 1] - rows->offsets[s];
        const int32_t *marks = (const int32_t *)rows->targets + first;
        if (n_rows == 0 || marks[0] == MTF_IGNORE_LABEL) {
            continue;
        }
        const span_target answer = find_target(marks, n_rows);
        for (int c = 0; c < COLUMNS; c++) {
            const int64_t at = first * COLUMNS + c;
            loss += 0.5 * column(rows->dy != NULL ? rows->dy + at : NULL, rows->y + at, n_rows,
                                 answer.at[c], 0.5 * (double)rows->scale);
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_span = {.name = "span",
                                     .targets = MTF_TARGET_LABELS,
                                     .check = check,
                                     .value_and_gradient = value_and_gradient};
