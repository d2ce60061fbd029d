/* Batch norm by the statistics of the rows at hand, residual and ReLU or ReLU6, forward and backward.
 *
 *   mean, var of each column over all R rows     xh = (x - mean) / sqrt(var + eps)
 *   y = act(w xh + b + residual)
 *   g = dy act'(y)     dresidual = g     db = sums of g     dw = sums of g xh
 *   dx = w / sqrt(var + eps) * (g - db / R - xh dw / R)
 *
 * Mean, variance (with R - 1) and a 1 for the count go to `found`, of which the running statistics are
 * moved once the step is done; backward reads them there. Stored statistics are not read: a norm by
 * those is part of convolution.c. Two rows at least.
 * Saved for backward: x where anything but the residual's gradient is asked for; y with an activation
 * (where it was clipped).
 * Sums: pieces of rows, cut by the width alone, each in two passes over what stays in the cache; what
 * pieces give is joined in order (Chan, Golub, LeVeque 1983), in double. So no bit depends on threads.
 * Tolerance family: reduction. Reference: Ioffe, Szegedy 2015; torch.nn.BatchNorm2d.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/real.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

#include <string.h>

enum { BN_X, BN_RESIDUAL };
enum { BN_WEIGHT, BN_BIAS, BN_MEAN, BN_VARIANCE, BN_COUNT };

/* Values of a piece of rows, and the fewest and most rows of one. */
#define PIECE_VALUES 65536
#define LEAST_ROWS   32
#define MOST_ROWS    1024
/* Columns that are joined at once. */
#define JOINED 64
/* Operations for a value: moments in two passes, and normalising; sums of backward, and dx. */
#define FORWARD_OPERATIONS 8
#define SUM_OPERATIONS     4
#define DX_OPERATIONS      5

static const char *const names[] = {"weight", "bias", "mean", "variance", "count"};

static mtf_status batch_norm_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t c = shape->in[BN_X].width;
    MTF_TRY(mtf_check_input(shape, "batch_norm", BN_X, "x", 0, err));
    for (int i = BN_WEIGHT; i <= BN_COUNT; i++) {
        MTF_TRY(mtf_check_weight(shape, "batch_norm", i, names[i], i == BN_COUNT ? 1 : c, 1, err));
    }
    MTF_TRY(mtf_check_eps(shape, "batch_norm", err));
    if (mtf_has_input(shape, BN_RESIDUAL)) {
        MTF_TRY(mtf_check_input(shape, "batch_norm", BN_RESIDUAL, "residual", c, err));
        MTF_TRY(mtf_check_space(shape, "batch_norm", BN_RESIDUAL, "residual", err));
    }
    MTF_TRY(mtf_check_clip(shape, "batch_norm", err));
    mtf_set_output(shape, shape->in[BN_X].space, c);
    return MTF_OK;
}

static int64_t piece_rows(const mtf_node_shape *shape)
{
    const int64_t rows = PIECE_VALUES / shape->in[BN_X].width;
    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

static int64_t padded(int64_t n)
{
    return (n + 15) / 16 * 16;
}

typedef struct bn_job {
    const mtf_op_call *call;
    int64_t rows, c, piece, n_pieces;
    mtf_real *sums; /* (n_pieces, 2, C) of each piece */
    mtf_real
        *columns; /* (3, C): forward scale, shift; backward factors of g, of x - mean, constant */
    mtf_real *g;  /* backward: (rows, C) */
} bn_job;

static bn_job job_of(const mtf_op_call *call)
{
    const int32_t space = call->shape->in[BN_X].space;
    bn_job job = {.call = call,
                  .rows = call->span->n_rows[space],
                  .c = call->shape->in[BN_X].width,
                  .piece = piece_rows(call->shape)};
    job.n_pieces = mtf_pieces(job.rows, job.piece);
    return job;
}

/* Elements of `sums` and `columns` together. */
static size_t sums_size(const mtf_node_shape *shape, const mtf_extent *extent)
{
    const int64_t c = shape->in[BN_X].width;
    const int64_t rows = extent->n_rows[shape->in[BN_X].space];
    return (size_t)(padded(2 * mtf_pieces(rows, piece_rows(shape)) * c) + padded(3 * c));
}

/* 1 / sqrt(var + eps) of column j, with R below the sum of squares. */
static mtf_real rstd_of(const bn_job *job, int64_t j)
{
    const double share = (double)(job->rows - 1) / (double)job->rows;
    const double variance = (double)job->call->found[BN_VARIANCE][j] * share;
    return (mtf_real)(1 / sqrt(variance + (double)job->call->shape->attrs.eps));
}

/* Runs all items, shared with other workers where the call is all of them. */
static void run_items(const bn_job *job, int64_t n, int64_t operations, mtf_item_fn fn)
{
    if (job->call->work_stride > 0) {
        mtf_parallel_work(n, operations, fn, (void *)job);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        fn((void *)job, i, 0);
    }
}

/* ---- forward ---- */

/* Mean and sum of squares around it, of one piece. The first pass is around its first row. */
static void moments_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const int64_t c = job->c;
    const int64_t first = item * job->piece;
    const int64_t m = mtf_piece_end(job->rows, job->piece, item) - first;
    const mtf_real *x = job->call->in[BN_X] + first * c;
    mtf_real *rest = job->call->work + (size_t)worker * job->call->work_stride;
    mtf_real *mean = job->sums + 2 * item * c;
    mtf_real *squares = mean + c;
    const mtf_real share = (mtf_real)1 / (mtf_real)m;
    mtf_kernel->column_moments(rest, NULL, x, c, x, m, c);
    for (int64_t j = 0; j < c; j++) {
        mean[j] = x[j] + rest[j] * share;
    }
    mtf_kernel->column_moments(rest, squares, x, c, mean, m, c);
    for (int64_t j = 0; j < c; j++) { /* what the mean was off by */
        squares[j] -= rest[j] * rest[j] * share;
        mean[j] += rest[j] * share;
    }
}

/* Statistics of some columns over all pieces, and what they make of scale and shift. */
static void join_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t first = item * JOINED;
    const int64_t n = mtf_piece_end(job->c, JOINED, item) - first;
    double mean[JOINED];
    double squares[JOINED];
    (void)worker;
    for (int64_t p = 0; p < job->n_pieces; p++) {
        const mtf_real *of_piece = job->sums + 2 * p * job->c + first;
        const double before = (double)(p * job->piece);
        const double after = (double)mtf_piece_end(job->rows, job->piece, p);
        for (int64_t j = 0; j < n; j++) {
            const double other = (double)of_piece[j];
            const double more = (double)of_piece[job->c + j];
            const double apart = p > 0 ? other - mean[j] : 0;
            mean[j] = p > 0 ? mean[j] + apart * ((after - before) / after) : other;
            squares[j] = (p > 0 ? squares[j] : 0) + more +
                         apart * apart * (before * (after - before) / after);
        }
    }
    for (int64_t j = 0; j < n; j++) {
        const int64_t at = first + j;
        call->found[BN_MEAN][at] = (mtf_real)mean[j];
        call->found[BN_VARIANCE][at] =
            (mtf_real)((squares[j] > 0 ? squares[j] : 0 * squares[j]) / (double)(job->rows - 1));
        const mtf_real scale = call->w[BN_WEIGHT]->master[at] * rstd_of(job, at);
        job->columns[at] = scale;
        job->columns[job->c + at] = call->w[BN_BIAS]->master[at] - call->found[BN_MEAN][at] * scale;
    }
}

static void normalise_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t at = item * job->piece * job->c;
    const int64_t m = mtf_piece_end(job->rows, job->piece, item) - item * job->piece;
    const mtf_real *residual = call->in[BN_RESIDUAL];
    (void)worker;
    memcpy(call->out[0] + at, call->in[BN_X] + at, (size_t)(m * job->c) * sizeof(mtf_real));
    mtf_kernel->column_affine(call->out[0] + at, job->c, job->columns, job->columns + job->c,
                              residual != NULL ? residual + at : NULL, job->c, m, job->c,
                              call->shape->attrs.activation);
}

static mtf_cost batch_norm_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->in[BN_X].space] * (double)shape->in[BN_X].width;
    const int clips = shape->attrs.activation != MTF_ACT_NONE;
    const int of_x = need.dx >> BN_X & 1U;
    mtf_cost cost = {.forward = elements *
                                (FORWARD_OPERATIONS + clips + mtf_has_input(shape, BN_RESIDUAL))};
    if ((need.dx | need.dw) != 0) {
        cost.dx = elements * (clips + (of_x ? SUM_OPERATIONS + DX_OPERATIONS : 0));
        cost.dw = !of_x && need.dw != 0 ? elements * SUM_OPERATIONS : 0;
    }
    return cost;
}

static void batch_norm_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    mtf_extent extent = {0};
    bn_job job = job_of(call);
    extent.n_rows[shape->in[BN_X].space] = job.rows;
    const int64_t operations = (int64_t)batch_norm_cost(shape, &extent, (mtf_need){0}).forward;
    mtf_flops_add(MTF_FLOPS_FORWARD, operations);
    /* Behind the row of the first worker lies what all of them read. */
    job.columns = call->work + padded(job.c);
    job.sums = job.columns + padded(3 * job.c);
    call->found[BN_COUNT][0] = 1;
    run_items(&job, job.n_pieces, operations, moments_item);
    run_items(&job, mtf_pieces(job.c, JOINED), operations / job.piece, join_item);
    run_items(&job, job.n_pieces, operations, normalise_item);
}

static size_t batch_norm_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    return backward ? 0 : (size_t)padded(shape->in[BN_X].width) + sums_size(shape, extent);
}

/* ---- backward ---- */

/* Whether more than the residual's gradient is asked for. */
static int reads_x(mtf_need need)
{
    return (need.dx >> BN_X & 1U) || need.dw != 0;
}

static mtf_save batch_norm_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    save.in = reads_x(need) ? 1U << BN_X : 0U;
    save.out = (need.dx | need.dw) != 0 && shape->attrs.activation != MTF_ACT_NONE ? 1U : 0U;
    return save;
}

static size_t batch_norm_shared(const mtf_node_shape *shape, const mtf_extent *extent,
                                mtf_need need, mtf_precision precision)
{
    const int64_t rows = extent->n_rows[shape->in[BN_X].space];
    (void)precision;
    return (shape->attrs.activation != MTF_ACT_NONE ? (size_t)padded(rows * shape->in[BN_X].width)
                                                    : 0) +
           (reads_x(need) ? sums_size(shape, extent) : 0);
}

/* g of one piece, its copy for the residual, and its sums. */
static void sums_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t at = item * job->piece * job->c;
    const int64_t m = mtf_piece_end(job->rows, job->piece, item) - item * job->piece;
    const mtf_real *g = (job->g != NULL ? job->g : call->dout[0]) + at;
    mtf_real *residual = call->din[BN_RESIDUAL];
    (void)worker;
    if (job->g != NULL) {
        mtf_kernel->act_bwd(job->g + at, call->dout[0] + at, call->out[0] + at, m * job->c,
                            call->shape->attrs.activation);
    }
    if (residual != NULL && call->din_add[BN_RESIDUAL]) {
        mtf_kernel->add_to(residual + at, g, m * job->c);
    } else if (residual != NULL) {
        memcpy(residual + at, g, (size_t)(m * job->c) * sizeof *residual);
    }
    if (job->sums != NULL) {
        mtf_real *sum = job->sums + 2 * item * job->c;
        mtf_kernel->column_dots(sum, sum + job->c, g, call->in[BN_X] + at, call->found[BN_MEAN], m,
                                job->c);
    }
}

static void put(const mtf_op_call *call, int weight, int64_t at, double value)
{
    mtf_real *to = call->dw[weight];
    if (to != NULL) {
        to[at] = call->dw_add[weight] ? to[at] + (mtf_real)value : (mtf_real)value;
    }
}

/* Gradients of weight and bias of some columns, and the factors of dx. */
static void factors_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const mtf_op_call *call = job->call;
    (void)worker;
    for (int64_t j = item * JOINED; j < mtf_piece_end(job->c, JOINED, item); j++) {
        const double rstd = (double)rstd_of(job, j);
        const double factor = rstd * (double)call->w[BN_WEIGHT]->master[j];
        const double share = 1 / (double)job->rows;
        double sum = 0;
        double dot = 0;
        for (int64_t p = 0; p < job->n_pieces; p++) {
            sum += (double)job->sums[2 * p * job->c + j];
            dot += (double)job->sums[(2 * p + 1) * job->c + j];
        }
        put(call, BN_WEIGHT, j, dot * rstd);
        put(call, BN_BIAS, j, sum);
        job->columns[j] = (mtf_real)factor;
        job->columns[job->c + j] = (mtf_real)(-factor * rstd * rstd * dot * share);
        job->columns[2 * job->c + j] = (mtf_real)(-factor * sum * share);
    }
}

static void dx_item(void *context, int64_t item, int worker)
{
    const bn_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t at = item * job->piece * job->c;
    const int64_t m = mtf_piece_end(job->rows, job->piece, item) - item * job->piece;
    (void)worker;
    mtf_kernel->column_blend(call->din[BN_X] + at, (job->g != NULL ? job->g : call->dout[0]) + at,
                             call->in[BN_X] + at, job->columns, job->columns + job->c,
                             job->columns + 2 * job->c, call->found[BN_MEAN], m, job->c,
                             call->din_add[BN_X]);
}

static void batch_norm_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    bn_job job = job_of(call);
    const int64_t elements = job.rows * job.c;
    const int of_x = call->din[BN_X] != NULL;
    const int of_weights = call->dw[BN_WEIGHT] != NULL || call->dw[BN_BIAS] != NULL;
    mtf_real *at = call->shared;
    if (shape->attrs.activation != MTF_ACT_NONE) {
        job.g = at;
        at += padded(elements);
    }
    if (of_x || of_weights) {
        job.columns = at;
        job.sums = at + padded(3 * job.c);
        mtf_flops_add(of_x ? MTF_FLOPS_DX : MTF_FLOPS_DW, SUM_OPERATIONS * elements);
    }
    mtf_parallel_work(job.n_pieces, SUM_OPERATIONS * elements, sums_item, &job);
    if (job.sums != NULL) {
        mtf_parallel_work(mtf_pieces(job.c, JOINED), 4 * job.n_pieces * job.c, factors_item, &job);
    }
    if (of_x) {
        mtf_flops_add(MTF_FLOPS_DX, DX_OPERATIONS * elements);
        mtf_parallel_work(job.n_pieces, DX_OPERATIONS * elements, dx_item, &job);
    }
}

const mtf_op mtf_op_batch_norm = {.name = "batch_norm",
                                  .locality = MTF_LOCAL_BATCH,
                                  .check = batch_norm_check,
                                  .forward = batch_norm_forward,
                                  .backward = batch_norm_backward,
                                  .saves = batch_norm_saves,
                                  .cost = batch_norm_cost,
                                  .work = batch_norm_work,
                                  .shared = batch_norm_shared,
                                  .moves = 1U << BN_MEAN | 1U << BN_VARIANCE | 1U << BN_COUNT,
                                  .least_rows = 2};
