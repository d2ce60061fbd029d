/* losses.h: what a kind of loss is: a name, what its targets are, and two functions.
 *
 * csrc/losses holds the losses, one file each. A loss is a gradient injected at a head's output. Nobody
 * calls one by name: heads/ name theirs, train/ finds it in the generated table. It calls base/ only
 * and knows neither programs nor batches.
 *
 * Adding one: csrc/losses/<name>.c that defines `const mtf_loss_kind mtf_loss_<name>`, and <name> in
 * MTF_LOSSES of cmake/sources.cmake.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_LOSSES_LOSSES_H
#define MTF_LOSSES_LOSSES_H

#include "../include/mtfreeze.h"

typedef struct mtf_loss_kind {
    const char *name;
    mtf_target_type targets;
    /* Whether the targets of M rows of `output`, N wide, can be used; *n_labelled: rows that have
     * one. MTF_ERR_VALUE names the row. */
    mtf_status (*check)(const char *output, const void *targets, int64_t m, int64_t n,
                        int64_t *n_labelled, mtf_error *err);
    /* Returns the sum of the loss over the rows with a target, in double, rows in order; a row
     * that is not finite gives a sum that is not. dy (M,N) += scale * d sum / dy, untouched in rows
     * without a target; may be NULL. y (M,N), targets checked. */
    double (*value_and_gradient)(mtf_real *dy, const mtf_real *y, const void *targets, int64_t m,
                                 int64_t n, mtf_real scale);
} mtf_loss_kind;

/* NULL-terminated; generated from the build file's list. */
extern const mtf_loss_kind *const mtf_loss_table[];

/* The kind of that name; MTF_ERR_NAME lists those there are. */
MTF_NODISCARD mtf_status mtf_loss_find(const char *name, const mtf_loss_kind **kind,
                                       mtf_error *err);
/* Where the target of row `row` of an output of width `n` begins. */
const void *mtf_loss_target(const mtf_loss_kind *kind, const void *targets, int64_t row, int64_t n);

#endif
