/* A product of two narrow factors added to another tensor (LoRA, Hu et al. 2021), both directions.
 *
 *   h = scale * drop(x) A^T      out = y + h B^T        A (r,K), B (N,r)
 *   dy = dout     dh = scale * dout B     dx = drop'(dh A)     dA = dh^T drop(x)     dB = dout^T h
 *
 * One operation, so that neither the dropped x nor h B^T is ever kept: the mask is drawn again in
 * backward. Saved for backward: h if B trains, x if A does. With B zero, out has the bits of y.
 * Cut: by rows, both directions; dA and dB by tiles of their shape. A row's bits depend on that row
 * alone. Tolerance family: gemm. Derivation: docs/derivations/low_rank.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/flops.h"
#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 128 };
enum { Y, X };
enum { DOWN, UP }; /* A, B */

static mtf_status low_rank_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "low_rank", Y, "y", 0, err);
    if (status == MTF_OK) {
        status = mtf_check_input(shape, "low_rank", X, "x", 0, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_space(shape, "low_rank", X, "x", err);
    }
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "low_rank", DOWN, "A", 0, shape->in[X].width, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "low_rank", UP, "B", shape->in[Y].width,
                                  shape->weight_rows[DOWN], err);
    }
    if (status == MTF_OK) {
        status = mtf_check_rate(shape, "low_rank", err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[Y].space, shape->in[Y].width);
        shape->aux[0] = (mtf_slot){.space = shape->in[Y].space, .width = shape->weight_rows[DOWN]};
    }
    return status;
}

typedef struct sizes {
    int64_t rows, n, k, r;
    int64_t n_pieces;
} sizes;

static sizes sizes_of(const mtf_node_shape *shape, const int64_t *n_rows)
{
    sizes s = {.rows = n_rows[shape->in[Y].space],
               .n = shape->in[Y].width,
               .k = shape->in[X].width,
               .r = shape->weight_rows[DOWN]};
    s.n_pieces = mtf_pieces(s.rows, ROWS);
    return s;
}

/* to (R,K), rows first .. last - 1, = or += from with the lanes of x's dropout dropped; `from` begins
 * at row `first`, `to` too. */
static void drop(const mtf_op_call *call, mtf_real *to, const mtf_real *from, int64_t first,
                 int64_t last, int add)
{
    const int32_t space = call->shape->in[X].space;
    const int64_t k = call->shape->in[X].width;
    const uint32_t threshold = mtf_drop_threshold(call->shape->attrs.rate);
    const mtf_real scale = mtf_drop_scale(call->shape->attrs.rate);
    int64_t row = first;
    for (int64_t s = mtf_span_find(call->span, space, first); row < last; s++) {
        const int64_t start = mtf_span_start(call->span, space, s);
        const int64_t end = mtf_span_start(call->span, space, s + 1);
        const uint64_t key = mtf_drop_key(call, s);
        for (; row < end && row < last; row++) {
            mtf_kernel->dropout_row(to + (row - first) * k, from + (row - first) * k, k,
                                    mtf_random_mix(key, (uint64_t)(row - start)), threshold, scale,
                                    add);
        }
    }
}

static void multiply(mtf_real *values, int64_t n, mtf_real by)
{
    for (int64_t i = 0; i < n; i++) {
        values[i] *= by;
    }
}

/* What a worker needs: B^T, h of a piece, dropped x or its gradient, and for the products. */
typedef struct scratch {
    mtf_real *up, *h, *dropped, *product;
} scratch;

static size_t scratch_size(const sizes *s)
{
    const size_t down = mtf_linear_work(s->r, s->k);
    const size_t up = mtf_linear_work(s->n, s->r);
    return (size_t)(s->n * s->r + ROWS * (s->r + s->k)) + (down > up ? down : up);
}

static scratch scratch_of(const sizes *s, mtf_real *work)
{
    return (scratch){.up = work,
                     .h = work + s->n * s->r,
                     .dropped = work + s->n * s->r + ROWS * s->r,
                     .product = work + s->n * s->r + ROWS * (s->r + s->k)};
}

static void transpose_up(const mtf_op_call *call, const sizes *s, mtf_real *up)
{
    const mtf_real *b = call->w[UP]->master;
    for (int64_t i = 0; i < s->r; i++) {
        for (int64_t j = 0; j < s->n; j++) {
            up[i * s->n + j] = b[j * s->r + i];
        }
    }
}

/* Rows of one piece; `at` holds B^T. */
static void forward_piece(const mtf_op_call *call, const sizes *s, int64_t piece, const scratch *at)
{
    const int64_t first = piece * ROWS;
    const int64_t last = mtf_piece_end(s->rows, ROWS, piece);
    const int64_t m = last - first;
    const mtf_real *x = call->in[X] + first * s->k;
    mtf_real *h = call->aux[0] != NULL ? call->aux[0] + first * s->r : at->h;
    mtf_real *out = call->out[0] + first * s->n;
    if (mtf_drop_active(call)) {
        drop(call, at->dropped, x, first, last, 0);
        x = at->dropped;
    }
    mtf_linear_y(h, x, call->w[DOWN]->master, m, s->r, s->k, MTF_LAYOUT_OUT_IN, 0, at->product);
    multiply(h, m * s->r, call->shape->attrs.scale);
    memcpy(out, call->in[Y] + first * s->n, (size_t)(m * s->n) * sizeof *out);
    mtf_linear_y(out, h, at->up, m, s->n, s->r, MTF_LAYOUT_IN_OUT, 1, at->product);
}

static void wide_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const sizes s = sizes_of(call->shape, call->span->n_rows);
    const scratch at = scratch_of(&s, call->work + (size_t)worker * call->work_stride);
    transpose_up(call, &s, at.up);
    forward_piece(call, &s, item, &at);
}

static void low_rank_forward(const mtf_op_call *call)
{
    const sizes s = sizes_of(call->shape, call->span->n_rows);
    if (call->work_stride > 0) {
        mtf_parallel_work(s.n_pieces, 2 * s.rows * s.r * (s.n + s.k), wide_item, &call);
        return;
    }
    const scratch at = scratch_of(&s, call->work);
    transpose_up(call, &s, at.up);
    for (int64_t piece = 0; piece < s.n_pieces; piece++) {
        forward_piece(call, &s, piece, &at);
    }
}

typedef struct backward_job {
    const mtf_op_call *call;
    sizes s;
    mtf_real *dh;      /* (R,r) NULL: nobody asks */
    mtf_real *dropped; /* (R,K) NULL: x itself */
    int64_t n_up, n_down;
} backward_job;

/* dh and dropped x, whole, and what goes on to y. */
static void first_item(void *context, int64_t item, int worker)
{
    const backward_job *job = context;
    const mtf_op_call *call = job->call;
    const sizes *s = &job->s;
    const scratch at = scratch_of(s, call->work + (size_t)worker * call->work_stride);
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(s->rows, ROWS, item);
    const mtf_real *dout = call->dout[0] + first * s->n;
    if (job->dh != NULL) {
        mtf_real *dh = job->dh + first * s->r;
        mtf_linear_dx(dh, dout, call->w[UP]->master, last - first, s->n, s->r, MTF_LAYOUT_OUT_IN, 0,
                      at.product);
        multiply(dh, (last - first) * s->r, call->shape->attrs.scale);
    }
    if (job->dropped != NULL) {
        drop(call, job->dropped + first * s->k, call->in[X] + first * s->k, first, last, 0);
    }
    mtf_deliver(call->din[Y] != NULL ? call->din[Y] + first * s->n : NULL, dout,
                (last - first) * s->n, call->din_add[Y]);
}

static void second_item(void *context, int64_t item, int worker)
{
    const backward_job *job = context;
    const mtf_op_call *call = job->call;
    const sizes *s = &job->s;
    if (item < job->n_up) {
        mtf_linear_dw(call->dw[UP], call->dout[0], call->aux[0], s->rows, s->n, s->r,
                      MTF_LAYOUT_OUT_IN, item, call->dw_add[UP]);
        return;
    }
    item -= job->n_up;
    if (item < job->n_down) {
        mtf_linear_dw(call->dw[DOWN], job->dh, job->dropped != NULL ? job->dropped : call->in[X],
                      s->rows, s->r, s->k, MTF_LAYOUT_OUT_IN, item, call->dw_add[DOWN]);
        return;
    }
    item -= job->n_down;
    const scratch at = scratch_of(s, call->work + (size_t)worker * call->work_stride);
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(s->rows, ROWS, item);
    const int drops = mtf_drop_active(call);
    mtf_real *dx = call->din[X] + first * s->k;
    mtf_linear_dx(drops ? at.dropped : dx, job->dh + first * s->r, call->w[DOWN]->master,
                  last - first, s->r, s->k, MTF_LAYOUT_OUT_IN, !drops && call->din_add[X],
                  at.product);
    if (drops) {
        drop(call, dx, at.dropped, first, last, call->din_add[X]);
    }
}

/* Elements of dh, rounded up to cache lines, which dropped x stands behind. */
static size_t dh_size(const sizes *s)
{
    return ((size_t)(s->rows * s->r) + 15) / 16 * 16;
}

static size_t low_rank_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                              mtf_precision precision)
{
    const sizes s = sizes_of(shape, extent->n_rows);
    const int down = (need.dw >> DOWN & 1U) != 0;
    (void)precision;
    return (down || (need.dx >> X & 1U) ? dh_size(&s) : 0) +
           (down && shape->attrs.rate > 0 ? (size_t)(s.rows * s.k) : 0);
}

static void low_rank_backward(const mtf_op_call *call)
{
    backward_job job = {.call = call, .s = sizes_of(call->shape, call->span->n_rows)};
    const int64_t product = 2 * job.s.rows * job.s.r;
    if (call->dw[DOWN] != NULL || call->din[X] != NULL) {
        job.dh = call->shared;
    }
    if (call->dw[DOWN] != NULL) {
        job.n_down = mtf_linear_dw_tiles(job.s.r, job.s.k, MTF_LAYOUT_OUT_IN);
        job.dropped = mtf_drop_active(call) ? call->shared + dh_size(&job.s) : NULL;
    }
    if (call->dw[UP] != NULL) {
        job.n_up = mtf_linear_dw_tiles(job.s.n, job.s.r, MTF_LAYOUT_OUT_IN);
    }
    mtf_parallel_work(job.s.n_pieces, product * job.s.n, first_item, &job);
    mtf_parallel_work(job.n_up + job.n_down + (call->din[X] != NULL ? job.s.n_pieces : 0),
                      product * (job.s.n + 2 * job.s.k), second_item, &job);
}

static mtf_save low_rank_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = (need.dw >> DOWN & 1U) << X, .aux = need.dw >> UP & 1U};
}

static mtf_cost low_rank_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const sizes s = sizes_of(shape, extent->n_rows);
    const double down = 2 * (double)s.rows * (double)s.r * (double)s.k;
    const double up = 2 * (double)s.rows * (double)s.r * (double)s.n;
    const int needs_h = (need.dw >> DOWN & 1U) || (need.dx >> X & 1U);
    return (mtf_cost){.forward = down + up,
                      .dx = (needs_h ? up : 0) + (need.dx >> X & 1U ? down : 0),
                      .dw = (need.dw >> DOWN & 1U ? down : 0) + (need.dw >> UP & 1U ? up : 0)};
}

static size_t low_rank_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    const sizes s = sizes_of(shape, extent->n_rows);
    (void)backward;
    return scratch_size(&s);
}

const mtf_op mtf_op_low_rank = {.name = "low_rank",
                                .locality = MTF_LOCAL_ROW,
                                .check = low_rank_check,
                                .forward = low_rank_forward,
                                .backward = low_rank_backward,
                                .saves = low_rank_saves,
                                .cost = low_rank_cost,
                                .work = low_rank_work,
                                .shared = low_rank_shared,
                                .rounds_aux = 1};
