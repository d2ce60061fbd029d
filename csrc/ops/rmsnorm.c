/* Residual addition and division by the root mean square, forward and backward.
 *
 *   s = x + residual     y = s * r * (offset + w)     r = 1/sqrt(avg(s^2) + eps)
 *   ds = r * (g - n * avg(g * n)) + dsum   where g = dy * (offset + w), n = s * r and dsum is the
 *   gradient that arrives at s itself (out[1]); ds goes to x and to the residual alike
 *   dw = sum over rows of dy * n
 *
 * w has D values, and D divides the width: each group of D columns is normalised by itself (queries
 * and keys by heads), all by the one w. Saved for backward: s (out[1], or x) and r of each group.
 * Cut: ds by rows; dw by columns, rows and groups in order (norm.h). Tolerance family: reduction.
 * Reference: Zhang, Sennrich 2019. Derivation: docs/derivations/rmsnorm.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"
#include "checks.h"

/* A cache line: w may have as few columns as a head. */
enum { COLUMNS = 16 };

static mtf_status rmsnorm_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t c = shape->in[NORM_X].width;
    const int64_t d = shape->weight_rows[NORM_WEIGHT];
    mtf_status status = mtf_norm_check(shape, "rmsnorm", err);
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "rmsnorm", NORM_WEIGHT, "weight", 0, 1, err);
    }
    if (status == MTF_OK && c % d != 0) {
        status = mtf_fail(err, MTF_ERR_SHAPE,
                          "%s: rmsnorm expects a width of whole groups of its %lld weights, found "
                          "%lld; change the configured sizes",
                          shape->label, (long long)d, (long long)c);
    }
    if (status == MTF_OK) {
        status = mtf_check_eps(shape, "rmsnorm", err);
    }
    if (status == MTF_OK && !isfinite((double)shape->attrs.weight_offset)) {
        status =
            mtf_fail(err, MTF_ERR_VALUE,
                     "%s: rmsnorm expects a finite offset of its weight, found %g; correct the "
                     "configuration",
                     shape->label, (double)shape->attrs.weight_offset);
    }
    if (status == MTF_OK) {
        mtf_norm_set_outputs(shape, c / d);
    }
    return status;
}

static void rmsnorm_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    mtf_kernel->rmsnorm_fwd(call->out[NORM_Y], call->out[NORM_SUM], call->aux[0], call->in[NORM_X],
                            call->in[NORM_RESIDUAL], call->w[NORM_WEIGHT]->master,
                            call->span->n_rows[shape->in[NORM_X].space], shape->in[NORM_X].width,
                            shape->weight_rows[NORM_WEIGHT], shape->attrs.eps,
                            shape->attrs.weight_offset);
}

static void backward_rows(const mtf_norm_pass *pass, mtf_real *ds, const mtf_real *extra,
                          int64_t first, int64_t m)
{
    const mtf_op_call *call = pass->call;
    const int64_t at = first * pass->c;
    mtf_kernel->rmsnorm_bwd_x(ds, call->dout[NORM_Y] + at, extra, pass->sum + at,
                              call->aux[0] + at / pass->n_columns, call->w[NORM_WEIGHT]->master, m,
                              pass->c, pass->n_columns, call->shape->attrs.weight_offset);
}

static void backward_columns(const mtf_norm_pass *pass, int64_t first, int64_t last)
{
    const mtf_op_call *call = pass->call;
    mtf_real *dw = call->dw[NORM_WEIGHT];
    if (call->dout[NORM_Y] != NULL) {
        mtf_kernel->rmsnorm_bwd_w(dw, call->dout[NORM_Y], pass->sum, call->aux[0], pass->n_rows,
                                  pass->c, pass->n_columns, first, last, call->dw_add[NORM_WEIGHT]);
    } else if (!call->dw_add[NORM_WEIGHT]) {
        memset(dw + first, 0, (size_t)(last - first) * sizeof *dw);
    }
}

static void rmsnorm_backward(const mtf_op_call *call)
{
    mtf_norm_pass pass = {.rows = backward_rows,
                          .columns = backward_columns,
                          .n_columns = call->shape->weight_rows[NORM_WEIGHT],
                          .piece = COLUMNS};
    mtf_norm_backward(call, &pass);
}

/* Operations an element as kernels/count.c has them. */
static mtf_cost rmsnorm_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->in[NORM_X].space] * (double)shape->in[NORM_X].width;
    return (mtf_cost){.forward = (5 + mtf_has_input(shape, NORM_RESIDUAL)) * elements,
                      .dx = need.dx != 0 ? 8 * elements : 0,
                      .dw = need.dw != 0 ? 3 * elements : 0};
}

const mtf_op mtf_op_rmsnorm = {.name = "rmsnorm",
                               .locality = MTF_LOCAL_ROW,
                               .check = rmsnorm_check,
                               .forward = rmsnorm_forward,
                               .backward = rmsnorm_backward,
                               .saves = mtf_norm_saves,
                               .cost = rmsnorm_cost,
                               .work = mtf_norm_work};
