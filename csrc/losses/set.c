/* Sets of boxes: what objects a picture has and where, in no order; the loss and its gradient.
 *
 * A row is a query, which answers [logits of K labels and of "none", box]; a box is [centre x,
 * centre y, width, height] as parts of the picture's sides. An output may have several answers side
 * by side, of several layers of a decoder; each is learned by itself, and their losses add up. A
 * sequence is a picture. Its rows are matched with its boxes, one to one, so that
 *   sum over boxes  -p[label] + 5 L1 - 2 GIoU     is the smallest (assignment.c, boxes.c);
 *   loss = sum over rows  w (-log p[label, or none]) / sum over rows w     w: 0.1 for none, else 1
 *        + sum over boxes  (5 L1 + 2 (1 - GIoU))     / max(1, boxes)
 * Both divisors are those of the whole step, known from its targets; the matching counts as constant.
 * Targets are rows of 5: [label, box] in the first rows of a picture, in any order, label -1 in those
 * behind them, NaN in all rows of a picture without a target. The sum that is returned is the loss
 * times the step's rows with a target, as a mean divides by these.
 *
 * All in double. A cost that is not finite gives NaN, which the step then refuses. Answers of
 * pictures are shared among workers; their values are added in order, pictures first, so the sum is
 * one at any thread count. Tolerance family: reduction. Reference: Carion and others 2020, whose
 * factors these are. Derivation: docs/derivations/boxes.md. SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "assignment.h"
#include "boxes.h"

#include <math.h>

/* The table is generated, so this has no header of its own. */
extern const mtf_loss_kind mtf_loss_set;

#define NONE_WEIGHT 0.1
#define L1_FACTOR   5.0
#define GIOU_FACTOR 2.0

enum {
    COLUMNS = 1 + MTF_BOX, /* of targets */
    NO_BOX = -1,           /* label of a row behind the boxes */
    WEIGHTS = 0,           /* totals: of the rows' weights */
    BOXES = 1,             /* and of boxes, at least 1 */
    ITEMS = 64,            /* answers of pictures whose values are at hand at a time */
    OPERATIONS = 100       /* of a logit: two exponentials, and what is around them */
};

/* Columns of one answer. */
static int64_t width_of(const mtf_loss_rows *rows)
{
    return rows->n / rows->parts;
}

/* Labels without "none". */
static int64_t labels_of(const mtf_loss_rows *rows)
{
    return width_of(rows) - 1 - MTF_BOX;
}

static int64_t first_row(const mtf_loss_rows *rows, int64_t s)
{
    return rows->offsets[s] - rows->offsets[0];
}

static int64_t n_rows(const mtf_loss_rows *rows, int64_t s)
{
    return rows->offsets[s + 1] - rows->offsets[s];
}

static const mtf_real *target(const mtf_loss_rows *rows, int64_t row)
{
    return (const mtf_real *)rows->targets + row * COLUMNS;
}

static int has_target(const mtf_loss_rows *rows, int64_t s)
{
    return n_rows(rows, s) > 0 && !isnan(target(rows, first_row(rows, s))[0]);
}

/* Boxes of a picture with a target. */
static int64_t n_boxes(const mtf_loss_rows *rows, int64_t s)
{
    int64_t n = 0;
    while (n < n_rows(rows, s) && target(rows, first_row(rows, s) + n)[0] != NO_BOX) {
        n++;
    }
    return n;
}

static mtf_status check_box(const char *output, const mtf_loss_rows *rows, int64_t row,
                            mtf_error *err)
{
    const mtf_real *t = target(rows, row);
    const double label = (double)t[0];
    if (!(label >= 0 && label < (double)labels_of(rows)) || label != floor(label)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "label %g at row %lld of \"%s\": expected 0..%lld, in the first rows of a "
                        "picture, %d in those behind them, or NaN in all rows of one without a "
                        "target",
                        label, (long long)row, output, (long long)labels_of(rows) - 1, NO_BOX);
    }
    for (int i = 1; i <= MTF_BOX; i++) {
        if (!(t[i] >= 0 && t[i] <= 1) || (i > 2 && t[i] == 0)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "box (%g, %g, %g, %g) at row %lld of \"%s\": expected its centre, its "
                            "width and its height as parts of the picture's, from 0 to 1, the "
                            "latter two above 0",
                            (double)t[1], (double)t[2], (double)t[3], (double)t[4], (long long)row,
                            output);
        }
    }
    return MTF_OK;
}

/* A picture with a target: boxes, then rows without one. */
static mtf_status check_picture(const char *output, const mtf_loss_rows *rows, int64_t s,
                                mtf_error *err)
{
    const int64_t first = first_row(rows, s), last = first + n_rows(rows, s);
    const int64_t behind = first + n_boxes(rows, s);
    for (int64_t row = first; row < last; row++) {
        if (target(rows, row)[0] == NO_BOX) {
            continue;
        }
        MTF_TRY(check_box(output, rows, row, err));
        if (row > behind) {
            return mtf_fail(
                err, MTF_ERR_VALUE,
                "box at row %lld of \"%s\" behind a row without one: expected the boxes "
                "of a picture in its first rows",
                (long long)row, output);
        }
    }
    return MTF_OK;
}

static mtf_status check(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err)
{
    *counts = (mtf_loss_counts){0};
    if (rows->n % rows->parts != 0 || labels_of(rows) < 1) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss \"set\" takes an output whose rows are logits of labels and of "
                        "none, then a box, %d columns or more, such as a detection head gives; "
                        "found \"%s\" with %lld columns",
                        2 + MTF_BOX, output, (long long)rows->n);
    }
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        const int64_t first = first_row(rows, s), n = n_rows(rows, s);
        if (has_target(rows, s)) {
            MTF_TRY(check_picture(output, rows, s, err));
            const double boxes = (double)n_boxes(rows, s);
            counts->n_labelled += n;
            counts->totals[WEIGHTS] += boxes + NONE_WEIGHT * ((double)n - boxes);
            counts->totals[BOXES] += boxes;
        }
        for (int64_t row = first; row < first + n && !has_target(rows, s); row++) {
            if (!isnan(target(rows, row)[0])) {
                return mtf_fail(err, MTF_ERR_VALUE,
                                "label %g at row %lld of \"%s\": expected NaN in all rows of a "
                                "picture without a target, whose first row has it",
                                (double)target(rows, row)[0], (long long)row, output);
            }
        }
    }
    counts->divisor = (double)counts->n_labelled;
    counts->totals[BOXES] = fmax(1, counts->totals[BOXES]);
    return MTF_OK;
}

/* Values that one answer works in: two a row, one a box, their costs (boxes, rows), and what assigns
 * them. */
static size_t area(const mtf_loss_rows *rows)
{
    size_t most = 0;
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        const int64_t n = n_rows(rows, s), boxes = has_target(rows, s) ? n_boxes(rows, s) : 0;
        const size_t values = (size_t)(2 * n + boxes * n + boxes) + mtf_assign_work(boxes, n);
        most = values > most ? values : most;
    }
    return most;
}

static int64_t n_items(const mtf_loss_rows *rows)
{
    return rows->n_sequences * rows->parts;
}

static size_t work(const mtf_loss_rows *rows)
{
    const int64_t items = n_items(rows) < ITEMS ? n_items(rows) : ITEMS;
    return ITEMS + (size_t)items * area(rows);
}

/* One answer of one picture. */
typedef struct answer {
    const mtf_loss_rows *rows;
    int64_t first, n, boxes; /* rows of the picture, and its boxes */
    int64_t column;          /* where the answer begins in a row */
    double *log_totals;      /* (n) log of the sum of exponentials */
    double *cost;            /* (boxes, n) */
    double *assign_work;
    int64_t *row_of; /* (boxes) */
    int64_t *box_of; /* (n), NO_BOX: none */
} answer;

static const mtf_real *logits(const answer *a, int64_t i)
{
    return a->rows->y + (a->first + i) * a->rows->n + a->column;
}

static const mtf_real *wanted(const answer *a, int64_t box)
{
    return target(a->rows, a->first + box);
}

static double log_total(const mtf_real *z, int64_t n)
{
    double top = (double)z[0], sum = 0;
    for (int64_t j = 1; j < n; j++) {
        top = (double)z[j] > top ? (double)z[j] : top;
    }
    for (int64_t j = 0; j < n; j++) {
        sum += exp((double)z[j] - top);
    }
    return top + log(sum);
}

static void read_box(double *box, const mtf_real *values)
{
    for (int i = 0; i < MTF_BOX; i++) {
        box[i] = (double)values[i];
    }
}

/* Fills in the costs; 0: one is not finite. */
static int fill_costs(const answer *a)
{
    const int64_t n_labels = labels_of(a->rows);
    for (int64_t b = 0; b < a->boxes; b++) {
        const mtf_real *t = wanted(a, b);
        double there[MTF_BOX];
        read_box(there, t + 1);
        for (int64_t i = 0; i < a->n; i++) {
            const mtf_real *z = logits(a, i);
            double here[MTF_BOX];
            read_box(here, z + n_labels + 1);
            const double p = exp((double)z[(int64_t)t[0]] - a->log_totals[i]);
            const double cost = -p + L1_FACTOR * mtf_box_l1(NULL, here, there) -
                                GIOU_FACTOR * mtf_box_giou(NULL, here, there);
            if (!isfinite(cost)) {
                return 0;
            }
            a->cost[b * a->n + i] = cost;
        }
    }
    return 1;
}

/* Matches rows with boxes; 0: a cost is not finite. */
static int match(const answer *a)
{
    const int64_t n_logits = labels_of(a->rows) + 1;
    for (int64_t i = 0; i < a->n; i++) {
        a->log_totals[i] = log_total(logits(a, i), n_logits);
        a->box_of[i] = NO_BOX;
    }
    if (!fill_costs(a)) {
        return 0;
    }
    mtf_assign(a->row_of, a->cost, a->boxes, a->n, a->assign_work);
    for (int64_t b = 0; b < a->boxes; b++) {
        a->box_of[a->row_of[b]] = b;
    }
    return 1;
}

/* The weighted cross entropy of row i; dz NULL or added to, times `scale`. */
static double label_loss(mtf_real *dz, const answer *a, int64_t i, double scale)
{
    const mtf_real *z = logits(a, i);
    const int64_t none = labels_of(a->rows), b = a->box_of[i];
    const int64_t label = b == NO_BOX ? none : (int64_t)wanted(a, b)[0];
    const double weight = b == NO_BOX ? NONE_WEIGHT : 1;
    for (int64_t j = 0; dz != NULL && j <= none; j++) {
        const double p = exp((double)z[j] - a->log_totals[i]);
        dz[j] += (mtf_real)(scale * weight * (p - (j == label)));
    }
    return weight * (a->log_totals[i] - (double)z[label]);
}

/* How far the box of row i is from that which it is matched with; d (4) NULL or added to, times
 * `scale`. */
static double box_loss(mtf_real *d, const answer *a, int64_t i, double scale)
{
    double here[MTF_BOX], there[MTF_BOX], dl1[MTF_BOX], dgiou[MTF_BOX];
    read_box(here, logits(a, i) + labels_of(a->rows) + 1);
    read_box(there, wanted(a, a->box_of[i]) + 1);
    const double l1 = mtf_box_l1(dl1, here, there), giou = mtf_box_giou(dgiou, here, there);
    for (int j = 0; d != NULL && j < MTF_BOX; j++) {
        d[j] += (mtf_real)(scale * (L1_FACTOR * dl1[j] - GIOU_FACTOR * dgiou[j]));
    }
    return L1_FACTOR * l1 + GIOU_FACTOR * (1 - giou);
}

static double answer_loss(const answer *a)
{
    const mtf_loss_rows *rows = a->rows;
    const double labels = rows->counts->divisor / rows->counts->totals[WEIGHTS];
    const double boxes = rows->counts->divisor / rows->counts->totals[BOXES];
    const double scale = (double)rows->scale;
    double of_labels = 0, of_boxes = 0;
    if (!match(a)) {
        return NAN;
    }
    for (int64_t i = 0; i < a->n; i++) {
        mtf_real *dz = rows->dy != NULL ? rows->dy + (a->first + i) * rows->n + a->column : NULL;
        of_labels += label_loss(dz, a, i, scale * labels);
        if (a->box_of[i] != NO_BOX) {
            of_boxes += box_loss(dz != NULL ? dz + labels_of(rows) + 1 : NULL, a, i, scale * boxes);
        }
    }
    return labels * of_labels + boxes * of_boxes;
}

/* Answers begin_item .. of a loss, and their values. */
typedef struct answer_values {
    const mtf_loss_rows *rows;
    int64_t begin;
    size_t area;
} answer_values;

static void answer_item(void *context, int64_t item, int worker)
{
    const answer_values *part = context;
    const mtf_loss_rows *rows = part->rows;
    const int64_t s = (part->begin + item) / rows->parts, of = (part->begin + item) % rows->parts;
    (void)worker;
    rows->work[item] = 0;
    if (!has_target(rows, s)) {
        return;
    }
    answer a = {.rows = rows,
                .first = first_row(rows, s),
                .n = n_rows(rows, s),
                .boxes = n_boxes(rows, s),
                .column = of * width_of(rows),
                .log_totals = rows->work + ITEMS + (size_t)item * part->area};
    a.cost = a.log_totals + a.n;
    a.assign_work = a.cost + a.boxes * a.n;
    a.row_of = (int64_t *)(a.assign_work + mtf_assign_work(a.boxes, a.n));
    a.box_of = a.row_of + a.boxes;
    rows->work[item] = answer_loss(&a);
}

static double value_and_gradient(const mtf_loss_rows *rows)
{
    answer_values part = {.rows = rows, .area = area(rows)};
    double loss = 0;
    for (; part.begin < n_items(rows); part.begin += ITEMS) {
        const int64_t left = n_items(rows) - part.begin;
        const int64_t count = left < ITEMS ? left : ITEMS;
        const int64_t each = rows->m / rows->n_sequences * width_of(rows);
        mtf_parallel_work(count, count * OPERATIONS * each, answer_item, &part);
        for (int64_t i = 0; i < count; i++) {
            loss += rows->work[i];
        }
    }
    return loss;
}

const mtf_loss_kind mtf_loss_set = {.name = "set",
                                    .targets = MTF_TARGET_ROWS,
                                    .columns = COLUMNS,
                                    .work = work,
                                    .check = check,
                                    .value_and_gradient = value_and_gradient};
