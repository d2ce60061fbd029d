/* losses.h: what a kind of loss is: a name, what its targets are, and two functions.
 *
 * csrc/losses holds the losses, one file each. A loss is a gradient injected at a head's output. Nobody
 * calls one by name: heads/ name theirs, train/ finds it in the generated table. It calls base/ and
 * kernels/, and knows neither programs nor batches.
 *
 * Adding one: csrc/losses/<name>.c that defines `const mtf_loss_kind mtf_loss_<name>`, and <name> in
 * MTF_LOSSES of cmake/sources.cmake.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_LOSSES_LOSSES_H
#define MTF_LOSSES_LOSSES_H

#include "../include/mtfreeze.h"

/* What a mean over the rows of a whole step is made of. */
typedef struct mtf_loss_counts {
    int64_t n_labelled; /* rows with a target */
    double divisor;     /* of the sum: n_labelled, or the sum of the rows' weights */
    double totals[2];   /* that a kind with means of its own divides by; its file says of what */
} mtf_loss_counts;

/* The rows of an output that a loss looks at: those of whole sequences. */
typedef struct mtf_loss_rows {
    mtf_real *dy;        /* (M,N), added to; NULL: only the value is wanted */
    const mtf_real *y;   /* (M,N); NULL while targets are checked */
    const void *targets; /* of the M rows, see mtf_target_type */
    int64_t m, n;        /* rows, and columns of the output */
    int64_t parts;       /* equal groups of these columns, each an answer of its own; at least 1 */
    const int64_t *offsets; /* (n_sequences+1) of the rows' space; row 0 is number offsets[0] */
    int64_t n_sequences;
    mtf_real scale;                    /* of the gradient */
    const mtf_loss_settings *settings; /* checked; never NULL */
    const mtf_loss_counts *counts;     /* of the step that they are part of */
    double *work; /* heap, as much as the kind asks for. Both NULL while targets are checked */
} mtf_loss_rows;

/* Settings that a kind of loss reads; others must be as in MTF_LOSS_DEFAULTS. */
enum {
    MTF_READS_CLASS_WEIGHTS = 1,
    MTF_READS_LABEL_SMOOTHING = 2,
    MTF_READS_FOCAL = 4,
    MTF_READS_SOFT = 8 /* temperature and soft_share */
};

typedef struct mtf_loss_kind {
    const char *name;
    mtf_target_type targets;
    int columns;      /* of targets that are rows; 0: those of the output, */
    int more_columns; /* and so many more */
    int settings;     /* MTF_READS_... */
    /* Values of `work` for rows with checked targets, and for any sequences of them; NULL: none. */
    size_t (*work)(const mtf_loss_rows *rows);
    /* Whether the targets can be used, and how much they count. MTF_ERR_VALUE names the row. */
    mtf_status (*check)(const char *output, const mtf_loss_rows *rows, mtf_loss_counts *counts,
                        mtf_error *err);
    /* Returns the sum of the loss over the rows with a target, in double, rows in order; a row
     * that is not finite gives a sum that is not. dy += scale * d sum / dy, untouched in rows
     * without a target. Targets are checked. */
    double (*value_and_gradient)(const mtf_loss_rows *rows);
} mtf_loss_kind;

extern const mtf_loss_settings MTF_LOSS_DEFAULTS;

/* NULL-terminated; generated from the build file's list. */
extern const mtf_loss_kind *const mtf_loss_table[];

/* The kind of that name; MTF_ERR_NAME lists those there are. */
MTF_NODISCARD mtf_status mtf_loss_find(const char *name, const mtf_loss_kind **kind,
                                       mtf_error *err);
/* Whether the kind reads the settings of a loss of `output`, N wide, and they can be used.
 * MTF_ERR_VALUE says what was expected. */
MTF_NODISCARD mtf_status mtf_loss_check_settings(const mtf_loss_kind *kind, const char *output,
                                                 int64_t n, const mtf_loss_settings *settings,
                                                 mtf_error *err);
/* Whether a target `t` (width), of row `row` of `output`, N wide, can be used. MTF_ERR_VALUE names the
 * row. */
typedef mtf_status (*mtf_loss_row_check)(const char *output, const mtf_real *t, int64_t row,
                                         int64_t n, mtf_error *err);
/* The check of a kind whose targets are rows, `width` wide: every row with a target counts once; one
 * whose first value is NaN has none. */
MTF_NODISCARD mtf_status mtf_loss_check_rows(const char *output, const mtf_loss_rows *rows,
                                             int64_t width, mtf_loss_row_check check_row,
                                             mtf_loss_counts *counts, mtf_error *err);
/* Columns of targets of an output of width `n`; 0: they are labels. */
int64_t mtf_loss_columns(const mtf_loss_kind *kind, int64_t n);
/* Where the target of row `row` of an output of width `n` begins. */
const void *mtf_loss_target(const mtf_loss_kind *kind, const void *targets, int64_t row, int64_t n);

#endif
