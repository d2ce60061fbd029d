/* norm.h: what the norms share: the residual in front of them, the second output, the cut of
 * backward, and how the gradient of the sum goes to both inputs.
 *
 * Slots: in x, residual or absent (R,C); out[0] the normalised rows, out[1] x + residual; aux[0]
 * statistics. Backward cuts ds by rows and dw by columns, so bits do not depend on threads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_NORM_H
#define MTF_OPS_NORM_H

#include "ops.h"

enum { NORM_X, NORM_RESIDUAL };
enum { NORM_WEIGHT, NORM_BIAS };
enum { NORM_Y, NORM_SUM };

/* The row space and the width of the inputs agree. */
MTF_NODISCARD mtf_status mtf_norm_check(const mtf_node_shape *shape, const char *op,
                                        mtf_error *err);
/* Fills out[] and aux[0], of `stats` values a row. */
void mtf_norm_set_outputs(mtf_node_shape *shape, int64_t stats);

/* One backward pass; the first two are the norm's own. */
typedef struct mtf_norm_pass {
    /* ds (M,C) of rows first .. first + M - 1, plus extra (M,C) if not NULL */
    void (*rows)(const struct mtf_norm_pass *pass, mtf_real *ds, const mtf_real *extra,
                 int64_t first, int64_t m);
    /* the weights' gradients, columns c0 .. c1-1 of them */
    void (*columns)(const struct mtf_norm_pass *pass, int64_t c0, int64_t c1);
    int64_t n_columns, piece; /* of the weights, and how many to a piece of work */
    /* set by mtf_norm_backward() */
    const mtf_op_call *call;
    const mtf_real *sum; /* (R,C) what has been normalised; NULL where nothing is saved */
    int64_t n_rows, c;
    int64_t n_row_pieces;
} mtf_norm_pass;

void mtf_norm_backward(const mtf_op_call *call, mtf_norm_pass *pass);
mtf_save mtf_norm_saves(const mtf_node_shape *shape, mtf_need need);
size_t mtf_norm_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward);

#endif
