/* Residual addition and layer normalisation over the last axis, forward and backward.
 *
 *   s = x + residual     y = (s - mean) * rstd * w + b     rstd = 1/sqrt(var + eps), per row
 *   ds = rstd * (g - avg(g) - n * avg(g * n)) + dsum   where g = dy * w, n = (s - mean) * rstd and
 *   dsum is the gradient that arrives at s itself (out[1]); ds goes to x and to the residual alike
 *   dw = sum over rows of dy * n     db = sum over rows of dy
 *
 * Saved for backward: s (out[1], or x where there is no residual), mean and rstd; nothing of it if
 * only the bias trains. dw NULL: that reduction is skipped, ds is still produced.
 * Cut: ds by rows; dw and db by columns, rows in order, so bits do not depend on threads.
 * Precision: variance in two passes. Tolerance family: reduction.
 * Reference: Ba, Kiros, Hinton 2016. Derivation: docs/derivations/layernorm.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64, COLUMNS = 64 };

enum { X, RESIDUAL };
enum { WEIGHT, BIAS };
enum { Y, SUM };

static mtf_status layernorm_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "layernorm", X, "x", 0, err);
    int64_t c = shape->in[X].width;
    int has_residual = mtf_has_input(shape, RESIDUAL);
    if (status == MTF_OK && has_residual) {
        status = mtf_check_input(shape, "layernorm", RESIDUAL, "residual", c, err);
    }
    if (status == MTF_OK && has_residual) {
        status = mtf_check_space(shape, "layernorm", RESIDUAL, "residual", err);
    }
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "layernorm", WEIGHT, "weight", c, 1, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "layernorm", BIAS, "bias", c, 1, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_eps(shape, "layernorm", err);
    }
    if (status != MTF_OK) {
        return status;
    }
    mtf_set_output(shape, shape->in[X].space, c);
    if (has_residual) {
        shape->out[SUM] = shape->out[Y];
    }
    shape->aux[0].space = shape->in[X].space;
    shape->aux[0].width = 2;
    return MTF_OK;
}

static void layernorm_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    mtf_kernel->layernorm_fwd(call->out[Y], call->out[SUM], call->aux[0], call->in[X],
                              call->in[RESIDUAL], call->w[WEIGHT]->master, call->w[BIAS]->master,
                              call->span->n_rows[shape->in[X].space], shape->in[X].width,
                              shape->attrs.eps);
}

/* One backward call: items are row pieces for ds, then column pieces for dw and db. */
typedef struct layernorm_job {
    const mtf_op_call *call;
    const mtf_real *sum; /* (R,C) */
    int64_t rows, c;
    int64_t n_ds;
} layernorm_job;

/* Hands ds (n) to one input's gradient (n); ds may be that gradient already. */
static void deliver(mtf_real *din, const mtf_real *ds, int64_t n, int add)
{
    if (din == NULL || din == ds) {
        return;
    }
    if (add) {
        mtf_kernel->add_to(din, ds, n);
    } else {
        memcpy(din, ds, (size_t)n * sizeof *din);
    }
}

static void ds_item(const layernorm_job *job, int64_t item, int worker)
{
    const mtf_op_call *call = job->call;
    int64_t first = item * ROWS;
    int64_t m = mtf_piece_end(job->rows, ROWS, item) - first;
    int64_t at = first * job->c;
    int64_t n = m * job->c;
    mtf_real *dx = call->din[X] != NULL ? call->din[X] + at : NULL;
    mtf_real *dresidual = call->din[RESIDUAL] != NULL ? call->din[RESIDUAL] + at : NULL;
    const mtf_real *extra = call->dout[SUM] != NULL ? call->dout[SUM] + at : NULL;
    const mtf_real *ds = extra;
    if (call->dout[Y] != NULL) {
        /* straight into a gradient that is overwritten, else by way of the worker's rows */
        mtf_real *target = call->work + (size_t)worker * call->work_stride;
        if (dx != NULL && !call->din_add[X]) {
            target = dx;
        } else if (dresidual != NULL && !call->din_add[RESIDUAL]) {
            target = dresidual;
        }
        mtf_kernel->layernorm_bwd_x(target, call->dout[Y] + at, extra, job->sum + at,
                                    call->aux[0] + first * 2, call->w[WEIGHT]->master, m, job->c);
        ds = target;
    }
    deliver(dx, ds, n, call->din_add[X]);
    deliver(dresidual, ds, n, call->din_add[RESIDUAL]);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const layernorm_job *job = context;
    const mtf_op_call *call = job->call;
    if (item < job->n_ds) {
        ds_item(job, item, worker);
        return;
    }
    item -= job->n_ds;
    int64_t first = item * COLUMNS;
    int64_t last = mtf_piece_end(job->c, COLUMNS, item);
    mtf_real *dw = call->dw[WEIGHT];
    mtf_real *db = call->dw[BIAS];
    const mtf_real *dy = call->dout[Y];
    if (dw != NULL && dy != NULL) {
        mtf_kernel->layernorm_bwd_w(dw, NULL, dy, job->sum, call->aux[0], job->rows, job->c, first,
                                    last, call->dw_add[WEIGHT]);
    } else if (dw != NULL && !call->dw_add[WEIGHT]) {
        memset(dw + first, 0, (size_t)(last - first) * sizeof *dw);
    }
    /* not by the kernel above: a bias that trains alone has no statistics */
    if (db != NULL && dy != NULL) {
        mtf_kernel->column_sum(db + first, dy + first, job->c, job->rows, last - first,
                               call->dw_add[BIAS]);
    } else if (db != NULL && !call->dw_add[BIAS]) {
        memset(db + first, 0, (size_t)(last - first) * sizeof *db);
    }
}

static void layernorm_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    layernorm_job job = {.call = call,
                         .sum = mtf_has_input(shape, RESIDUAL) ? call->out[SUM] : call->in[X],
                         .rows = call->span->n_rows[shape->in[X].space],
                         .c = shape->in[X].width};
    if (call->din[X] != NULL || call->din[RESIDUAL] != NULL) {
        job.n_ds = mtf_pieces(job.rows, ROWS);
    }
    int64_t n_dw =
        call->dw[WEIGHT] != NULL || call->dw[BIAS] != NULL ? mtf_pieces(job.c, COLUMNS) : 0;
    mtf_parallel_for(job.n_ds + n_dw, backward_item, &job);
}

static mtf_save layernorm_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dx != 0 || (need.dw & (1U << WEIGHT))) {
        if (mtf_has_input(shape, RESIDUAL)) {
            save.out = 1U << SUM;
        } else {
            save.in = 1U << X;
        }
        save.aux = 1U;
    }
    return save;
}

/* Operations an element as kernels/count.c has them. */
static mtf_cost layernorm_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double elements = (double)extent->n_rows[shape->in[X].space] * (double)shape->in[X].width;
    int dw = (need.dw & (1U << WEIGHT) ? 4 : 0) + (need.dw & (1U << BIAS) ? 1 : 0);
    return (mtf_cost){.forward = (mtf_has_input(shape, RESIDUAL) ? 9 : 8) * elements,
                      .dx = need.dx != 0 ? 10 * elements : 0,
                      .dw = dw * elements};
}

static size_t layernorm_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    return backward ? (size_t)ROWS * (size_t)shape->in[X].width : 0;
}

const mtf_op mtf_op_layernorm = {.name = "layernorm",
                                 .locality = MTF_LOCAL_ROW,
                                 .check = layernorm_check,
                                 .forward = layernorm_forward,
                                 .backward = layernorm_backward,
                                 .saves = layernorm_saves,
                                 .cost = layernorm_cost,
                                 .work = layernorm_work};
