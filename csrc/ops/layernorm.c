/* Residual addition and layer normalisation over the last axis, forward and backward.
 *
 *   s = x + residual     y = (s - mean) * rstd * w + b     rstd = 1/sqrt(var + eps), per row;
 *   without a bias b = 0
 *   ds = rstd * (g - avg(g) - n * avg(g * n)) + dsum   where g = dy * w, n = (s - mean) * rstd and
 *   dsum is the gradient that arrives at s itself (out[1]); ds goes to x and to the residual alike
 *   dw = sum over rows of dy * n     db = sum over rows of dy
 *
 * Saved for backward: s (out[1], or x where there is no residual), mean and rstd; nothing of it if
 * only the bias trains. dw NULL: that reduction is skipped, ds is still produced.
 * Cut: ds by rows; dw and db by columns, rows in order (norm.h).
 * Precision: variance in two passes. Tolerance family: reduction.
 * Reference: Ba, Kiros, Hinton 2016. Derivation: docs/derivations/layernorm.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

#include <string.h>

#include "checks.h"

enum { COLUMNS = 64 };

static mtf_status layernorm_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t c = shape->in[NORM_X].width;
    mtf_status status = mtf_norm_check(shape, "layernorm", err);
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "layernorm", NORM_WEIGHT, "weight", c, 1, err);
    }
    if (status == MTF_OK && mtf_has_weight(shape, NORM_BIAS)) {
        status = mtf_check_weight(shape, "layernorm", NORM_BIAS, "bias", c, 1, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_eps(shape, "layernorm", err);
    }
    if (status == MTF_OK) {
        mtf_norm_set_outputs(shape, 2);
    }
    return status;
}

static void layernorm_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_weight *bias = call->w[NORM_BIAS];
    mtf_kernel->layernorm_fwd(
        call->out[NORM_Y], call->out[NORM_SUM], call->aux[0], call->in[NORM_X],
        call->in[NORM_RESIDUAL], call->w[NORM_WEIGHT]->master, bias != NULL ? bias->master : NULL,
        call->span->n_rows[shape->in[NORM_X].space], shape->in[NORM_X].width, shape->attrs.eps);
}

static void backward_rows(const mtf_norm_pass *pass, mtf_real *ds, const mtf_real *extra,
                          int64_t first, int64_t m)
{
    const mtf_op_call *call = pass->call;
    const int64_t at = first * pass->c;
    mtf_kernel->layernorm_bwd_x(ds, call->dout[NORM_Y] + at, extra, pass->sum + at,
                                call->aux[0] + first * 2, call->w[NORM_WEIGHT]->master, m, pass->c);
}

static void backward_columns(const mtf_norm_pass *pass, int64_t first, int64_t last)
{
    const mtf_op_call *call = pass->call;
    mtf_real *dw = call->dw[NORM_WEIGHT];
    mtf_real *db = call->dw[NORM_BIAS];
    const mtf_real *dy = call->dout[NORM_Y];
    if (dw != NULL && dy != NULL) {
        mtf_kernel->layernorm_bwd_w(dw, NULL, dy, pass->sum, call->aux[0], pass->n_rows, pass->c,
                                    first, last, call->dw_add[NORM_WEIGHT]);
    } else if (dw != NULL && !call->dw_add[NORM_WEIGHT]) {
        memset(dw + first, 0, (size_t)(last - first) * sizeof *dw);
    }
    /* not by the kernel above: a bias that trains alone has no statistics */
    if (db != NULL && dy != NULL) {
        mtf_kernel->column_sum(db + first, dy + first, pass->c, pass->n_rows, last - first,
                               call->dw_add[NORM_BIAS]);
    } else if (db != NULL && !call->dw_add[NORM_BIAS]) {
        memset(db + first, 0, (size_t)(last - first) * sizeof *db);
    }
}

static void layernorm_backward(const mtf_op_call *call)
{
    mtf_norm_pass pass = {.rows = backward_rows,
                          .columns = backward_columns,
                          .n_columns = call->shape->in[NORM_X].width,
                          .piece = COLUMNS};
    mtf_norm_backward(call, &pass);
}

/* Operations an element as kernels/count.c has them. */
static mtf_cost layernorm_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->in[NORM_X].space] * (double)shape->in[NORM_X].width;
    const int forward = 7 + mtf_has_weight(shape, NORM_BIAS) + mtf_has_input(shape, NORM_RESIDUAL);
    const int dw = (need.dw & (1U << NORM_WEIGHT) ? 4 : 0) + (need.dw & (1U << NORM_BIAS) ? 1 : 0);
    return (mtf_cost){
        .forward = forward * elements, .dx = need.dx != 0 ? 10 * elements : 0, .dw = dw * elements};
}

const mtf_op mtf_op_layernorm = {.name = "layernorm",
                                 .locality = MTF_LOCAL_ROW,
                                 .check = layernorm_check,
                                 .forward = layernorm_forward,
                                 .backward = layernorm_backward,
                                 .saves = mtf_norm_saves,
                                 .cost = layernorm_cost,
                                 .work = mtf_norm_work};
