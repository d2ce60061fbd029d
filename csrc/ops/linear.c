/* Linear layer with fused bias and activation, forward and backward.
 *
 *   pre = x W^T + b       y = act(pre)
 *   dpre = dy * act'(pre)     dx = dpre W     dW = dpre^T x     db = column sums of dpre
 *
 * The weight is (N,K), or (K,N) with attribute layout IN_OUT; the bias may be absent.
 * Saved for backward: pre if there is an activation and anything needs a gradient; x only if the
 * weight trains. A frozen linear without activation saves nothing. Backward overwrites pre by dpre,
 * which needs all rows at once for dW and has no other place to live.
 * Cut: dpre by rows; then dW by tiles of the weight, dx by rows, db by columns, all one list.
 * Bits: a row of y and dx depends on that row alone; dW and db add over rows in order.
 * Tolerance family: gemm. Derivation of the activations: docs/derivations/gelu.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { DPRE_ROWS = 64, DX_ROWS = 256, BIAS_COLUMNS = 64 };

enum { X };
enum { WEIGHT, BIAS };

static mtf_status linear_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "linear", X, "x", 0, err);
    if (status != MTF_OK) {
        return status;
    }
    int in_out = shape->attrs.layout == MTF_LAYOUT_IN_OUT;
    int64_t k = shape->in[X].width;
    status =
        mtf_check_weight(shape, "linear", WEIGHT, "weight", in_out ? k : 0, in_out ? 0 : k, err);
    if (status != MTF_OK) {
        return status;
    }
    int64_t n = in_out ? shape->weight_cols[WEIGHT] : shape->weight_rows[WEIGHT];
    if (mtf_has_weight(shape, BIAS)) {
        status = mtf_check_weight(shape, "linear", BIAS, "bias", n, 1, err);
        if (status != MTF_OK) {
            return status;
        }
    }
    mtf_set_output(shape, shape->in[X].space, n);
    if (shape->attrs.activation != MTF_ACT_NONE) {
        shape->aux[0] = shape->out[0];
    }
    return MTF_OK;
}

static void linear_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    int64_t rows = call->span->n_rows[shape->in[X].space];
    int64_t n = shape->out[0].width;
    int64_t k = shape->in[X].width;
    const mtf_real *bias = call->w[BIAS] != NULL ? call->w[BIAS]->master : NULL;
    mtf_linear_y(call->out[0], call->in[X], call->w[WEIGHT]->master, rows, n, k,
                 shape->attrs.layout, 0, call->work);
    if (bias != NULL || shape->attrs.activation != MTF_ACT_NONE) {
        mtf_kernel->bias_act_fwd(call->out[0], call->aux[0], bias, rows, n,
                                 shape->attrs.activation);
    }
}

/* One backward call, as its items see it: dW tiles first, then dx rows, then db columns. */
typedef struct linear_job {
    const mtf_op_call *call;
    const mtf_real *dpre; /* (R,N) */
    int64_t rows, n, k;
    int64_t n_dw, n_dx;
} linear_job;

static void dpre_item(void *context, int64_t item, int worker)
{
    const linear_job *job = context;
    const mtf_op_call *call = job->call;
    (void)worker;
    int64_t first = item * DPRE_ROWS * job->n;
    int64_t last = mtf_piece_end(job->rows, DPRE_ROWS, item) * job->n;
    mtf_real *pre = call->aux[0] + first;
    mtf_kernel->act_bwd(pre, call->dout[0] + first, pre, last - first,
                        call->shape->attrs.activation);
}

static void gradient_item(void *context, int64_t item, int worker)
{
    const linear_job *job = context;
    const mtf_op_call *call = job->call;
    mtf_layout layout = call->shape->attrs.layout;
    if (item < job->n_dw) {
        mtf_linear_dw(call->dw[WEIGHT], job->dpre, call->in[X], job->rows, job->n, job->k, layout,
                      item, call->dw_add[WEIGHT]);
        return;
    }
    item -= job->n_dw;
    if (item < job->n_dx) {
        int64_t first = item * DX_ROWS;
        int64_t last = mtf_piece_end(job->rows, DX_ROWS, item);
        mtf_linear_dx(call->din[X] + first * job->k, job->dpre + first * job->n,
                      call->w[WEIGHT]->master, last - first, job->n, job->k, layout,
                      call->din_add[X], call->work + (size_t)worker * call->work_stride);
        return;
    }
    item -= job->n_dx;
    int64_t first = item * BIAS_COLUMNS;
    int64_t last = mtf_piece_end(job->n, BIAS_COLUMNS, item);
    mtf_kernel->column_sum(call->dw[BIAS] + first, job->dpre + first, job->n, job->rows,
                           last - first, call->dw_add[BIAS]);
}

static void linear_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    linear_job job = {.call = call,
                      .dpre = call->dout[0],
                      .rows = call->span->n_rows[shape->in[X].space],
                      .n = shape->out[0].width,
                      .k = shape->in[X].width};
    if (shape->attrs.activation != MTF_ACT_NONE) {
        mtf_parallel_for(mtf_pieces(job.rows, DPRE_ROWS), dpre_item, &job);
        job.dpre = call->aux[0];
    }
    if (call->dw[WEIGHT] != NULL) {
        job.n_dw = mtf_linear_dw_tiles(job.n, job.k, shape->attrs.layout);
    }
    if (call->din[X] != NULL) {
        job.n_dx = mtf_pieces(job.rows, DX_ROWS);
    }
    int64_t n_db = call->dw[BIAS] != NULL ? mtf_pieces(job.n, BIAS_COLUMNS) : 0;
    int64_t product = 2 * job.rows * job.n * job.k;
    mtf_parallel_work(job.n_dw + job.n_dx + n_db,
                      product * ((job.n_dw > 0) + (job.n_dx > 0)) + job.rows * job.n, gradient_item,
                      &job);
}

static mtf_save linear_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dw & (1U << WEIGHT)) {
        save.in = 1U << X;
    }
    if (shape->attrs.activation != MTF_ACT_NONE && (need.dx | need.dw) != 0) {
        save.aux = 1U;
    }
    return save;
}

/* A bias or activation counts as one operation an element; the gradient before the activation is one
 * of activations also where only the weight needs it. */
static mtf_cost linear_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double rows = (double)extent->n_rows[shape->in[X].space];
    double elements = rows * (double)shape->out[0].width;
    double product = 2 * elements * (double)shape->in[X].width;
    double bias = mtf_has_weight(shape, BIAS) ? elements : 0;
    double activation = shape->attrs.activation != MTF_ACT_NONE ? elements : 0;
    mtf_cost cost = {.forward = product + bias + activation};
    if ((need.dx | need.dw) != 0) {
        cost.dx = (need.dx != 0 ? product : 0) + activation;
        cost.dw =
            (need.dw & (1U << WEIGHT) ? product : 0) + (need.dw & (1U << BIAS) ? elements : 0);
    }
    return cost;
}

static size_t linear_work(const mtf_node_shape *shape, const int64_t *max_length, int backward)
{
    (void)max_length;
    (void)backward;
    return mtf_linear_work(shape->out[0].width, shape->in[X].width);
}

const mtf_op mtf_op_linear = {.name = "linear",
                              .locality = MTF_LOCAL_ROW,
                              .check = linear_check,
                              .forward = linear_forward,
                              .backward = linear_backward,
                              .saves = linear_saves,
                              .cost = linear_cost,
                              .work = linear_work};
