/* Attention of several heads over packed sequences, forward and backward.
 *
 *   per sequence and head:  P = softmax(scale * q k^T + bias)     y = drop(P) v
 *   dv = drop(P)^T dy     dP = drop(dy v^T)     dS = P * (dP - rowsum(dy * y))
 *   dq = scale * dS k     dk = scale * dS^T q
 *
 * Head h owns columns h*D .. (h+1)*D-1 of q, k, v and y. Queries and keys have row spaces of their
 * own, so that sequence s of one attends to sequence s of the other. causal: query i sees keys
 * 0 .. i + Lk - Lq; callers then guarantee Lk >= Lq in every sequence.
 * bias (Rq,W), W at least the longest key sequence: row i is added to the scores of query i in
 * every head, columns 0 .. Lk-1; it is a constant, no gradient flows into it.
 * Saved for backward: q, k, v (and bias), y and the log-sum-exp of each row; never the (L,L)
 * probabilities, which are computed again.
 * Dropout (rate > 0): row key of query i is mix(mix(mix(mix(dropout_key, key), sequence), head), i).
 * Cut (backward, and forward over one block on many workers): (sequence, head) items; the columns of
 * a head are written by its own items only.
 * Tolerance family: gemm. Reference: Vaswani et al. 2017; the recomputation as in Dao et al. 2022.
 * Derivation: docs/derivations/attention.md. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { Q, K, V, SCORE_BIAS };

static mtf_status attention_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "attention", Q, "q", 0, err);
    int64_t c = shape->in[Q].width;
    if (status == MTF_OK) {
        status = mtf_check_input(shape, "attention", K, "k", c, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_input(shape, "attention", V, "v", c, err);
    }
    if (status == MTF_OK && mtf_has_input(shape, SCORE_BIAS)) {
        status = mtf_check_input(shape, "attention", SCORE_BIAS, "bias", 0, err);
        if (status == MTF_OK) {
            status = mtf_check_space(shape, "attention", SCORE_BIAS, "bias", err);
        }
    }
    if (status == MTF_OK) {
        status = mtf_check_rate(shape, "attention", err);
    }
    if (status != MTF_OK) {
        return status;
    }
    if (shape->in[V].space != shape->in[K].space) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: attention expects k and v in one row space, found two; connect both "
                        "to the same sequence",
                        shape->label);
    }
    int64_t heads = shape->attrs.n_heads;
    if (heads < 1 || c % heads != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: attention expects a number of heads that divides the width %lld, "
                        "found %lld; correct the configuration",
                        shape->label, (long long)c, (long long)heads);
    }
    double scale = (double)shape->attrs.scale;
    if (!(scale > 0) || !isfinite(scale)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: attention expects a positive, finite scale, found %g; use "
                        "1/sqrt(head width)",
                        shape->label, scale);
    }
    mtf_set_output(shape, shape->in[Q].space, c);
    shape->aux[0].space = shape->in[Q].space;
    shape->aux[0].width = heads;
    return MTF_OK;
}

/* One head of one sequence: the arguments of the kernels, and what they are made of. */
typedef struct head_item {
    int64_t first_q, first_k; /* rows of the span */
    mtf_mask mask;
    mtf_attention_args args;
} head_item;

/* Bias rows of sequence `sequence`, copied to `work` (Lq,Lk): kernels take them without gaps. */
static const mtf_real *gather_bias(const mtf_op_call *call, int64_t first_row, int64_t lq,
                                   int64_t lk, mtf_real *work)
{
    const mtf_real *bias = call->in[SCORE_BIAS];
    if (bias == NULL) {
        return NULL;
    }
    int64_t width = call->shape->in[SCORE_BIAS].width;
    for (int64_t i = 0; i < lq; i++) {
        memcpy(work + i * lk, bias + (first_row + i) * width, (size_t)lk * sizeof *work);
    }
    return work;
}

/* Elements of work that the kernels take; the bias of a sequence lies behind them. */
static size_t kernel_work(const mtf_node_shape *shape)
{
    return mtf_attention_work(shape->in[Q].width / shape->attrs.n_heads);
}

/* Fills in the sequence's part; `work` is this worker's. */
static void begin_sequence(head_item *item, const mtf_op_call *call, int64_t sequence,
                           mtf_real *work)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_span *span = call->span;
    const int32_t space_q = shape->in[Q].space;
    const int32_t space_k = shape->in[K].space;
    const int64_t c = shape->in[Q].width;
    const int64_t first_q = mtf_span_start(span, space_q, sequence);
    const int64_t first_k = mtf_span_start(span, space_k, sequence);
    const int64_t lq = mtf_span_start(span, space_q, sequence + 1) - first_q;
    const int64_t lk = mtf_span_start(span, space_k, sequence + 1) - first_k;
    *item =
        (head_item){.first_q = first_q,
                    .first_k = first_k,
                    .args = {.ldq = c,
                             .ldk = c,
                             .ldv = c,
                             .ldo = c,
                             .ld_lse = shape->attrs.n_heads,
                             .bias = gather_bias(call, first_q, lq, lk, work + kernel_work(shape)),
                             .lq = lq,
                             .lk = lk,
                             .d = c / shape->attrs.n_heads,
                             .causal = shape->attrs.causal,
                             .scale = shape->attrs.scale,
                             .work = work}};
}

/* Where queries, or keys and values, of head `head` begin in arrays of their rows. */
static int64_t query_at(const head_item *item, int64_t head)
{
    return item->first_q * item->args.ldq + head * item->args.d;
}

static int64_t key_at(const head_item *item, int64_t head)
{
    return item->first_k * item->args.ldk + head * item->args.d;
}

/* Moves to head `head`. */
static void begin_head(head_item *item, const mtf_op_call *call, int64_t sequence, int64_t head)
{
    mtf_attention_args *args = &item->args;
    const int64_t at_q = query_at(item, head);
    const int64_t at_k = key_at(item, head);
    args->q = call->in[Q] + at_q;
    args->k = call->in[K] + at_k;
    /* what a gradient of v alone does not read was not saved, and forward need not keep lse */
    args->v = call->in[V] != NULL ? call->in[V] + at_k : NULL;
    args->out = call->out[0] != NULL ? call->out[0] + at_q : NULL;
    args->lse = call->aux[0] != NULL ? call->aux[0] + item->first_q * args->ld_lse + head : NULL;
    if (mtf_drop_active(call)) {
        mtf_real rate = call->shape->attrs.rate;
        item->mask.key = mtf_random_mix(mtf_drop_key(call, sequence), (uint64_t)head);
        item->mask.threshold = mtf_drop_threshold(rate);
        item->mask.keep_scale = mtf_drop_scale(rate);
        args->drop = &item->mask;
    }
}

static void wide_item(void *context, int64_t index, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    mtf_real *work = call->work + (size_t)worker * call->work_stride;
    const int64_t n_heads = call->shape->attrs.n_heads;
    head_item item;
    begin_sequence(&item, call, index / n_heads, work);
    begin_head(&item, call, index / n_heads, index % n_heads);
    mtf_kernel->attention_fwd(&item.args);
}

static void attention_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_span *span = call->span;
    if (call->work_stride > 0) {
        mtf_parallel_work(span->n_sequences * shape->attrs.n_heads,
                          4 * span->n_rows[shape->in[Q].space] * shape->in[Q].width *
                              span->max_length[shape->in[K].space],
                          wide_item, &call);
        return;
    }
    for (int64_t s = 0; s < span->n_sequences; s++) {
        head_item item;
        begin_sequence(&item, call, s, call->work);
        for (int64_t h = 0; h < shape->attrs.n_heads && !mtf_stopping(); h++) {
            begin_head(&item, call, s, h);
            mtf_kernel->attention_fwd(&item.args);
        }
    }
}

static void backward_item(void *context, int64_t index, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    mtf_real *work = call->work + (size_t)worker * call->work_stride;
    const int64_t sequence = index / call->shape->attrs.n_heads;
    const int64_t head = index % call->shape->attrs.n_heads;
    head_item item;
    begin_sequence(&item, call, sequence, work);
    begin_head(&item, call, sequence, head);
    const int64_t at_q = query_at(&item, head);
    const int64_t at_k = key_at(&item, head);
    item.args.dout = call->dout[0] + at_q;
    item.args.dq = call->din[Q] != NULL ? call->din[Q] + at_q : NULL;
    item.args.dk = call->din[K] != NULL ? call->din[K] + at_k : NULL;
    item.args.dv = call->din[V] != NULL ? call->din[V] + at_k : NULL;
    item.args.add_q = call->din_add[Q];
    item.args.add_k = call->din_add[K];
    item.args.add_v = call->din_add[V];
    mtf_kernel->attention_bwd(&item.args);
}

static void attention_backward(const mtf_op_call *call)
{
    if (call->din[Q] == NULL && call->din[K] == NULL && call->din[V] == NULL) {
        return;
    }
    mtf_parallel_for(call->span->n_sequences * call->shape->attrs.n_heads, backward_item, &call);
}

static mtf_save attention_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dx & ((1U << Q) | (1U << K) | (1U << V))) {
        save.in = (1U << Q) | (1U << K);
        if (mtf_has_input(shape, SCORE_BIAS)) {
            save.in |= 1U << SCORE_BIAS;
        }
        save.aux = 1U;
    }
    if (need.dx & ((1U << Q) | (1U << K))) {
        save.in |= 1U << V;
        save.out = 1U;
    }
    return save;
}

/* Two products forward; backward the scores anew, their gradients for q and k, and one product a
 * gradient; five operations a probability for the softmax. The pairs of two different spaces are
 * bounded by Cauchy-Schwarz; causal leaves those on and below the diagonal. */
static mtf_cost attention_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const int32_t of_q = shape->in[Q].space;
    const int32_t of_k = shape->in[K].space;
    double pairs = sqrt(extent->sum_squares[of_q] * extent->sum_squares[of_k]);
    if (shape->attrs.causal) {
        pairs = (pairs + (of_q == of_k ? (double)extent->n_rows[of_q] : 0)) / 2;
    }
    double product = 2 * pairs * (double)shape->in[Q].width;
    double softmax = 5 * pairs * (double)shape->attrs.n_heads;
    mtf_cost cost = {.forward = 2 * product + softmax};
    if (need.dx & ((1U << Q) | (1U << K) | (1U << V))) {
        int products = 1 + ((need.dx & ((1U << Q) | (1U << K))) != 0);
        for (int i = Q; i <= V; i++) {
            products += (need.dx & (1U << i)) != 0;
        }
        cost.dx = products * product + softmax;
    }
    return cost;
}

static size_t attention_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)backward;
    int64_t lq = extent->max_length[shape->in[Q].space];
    int64_t lk = extent->max_length[shape->in[K].space];
    size_t bias = mtf_has_input(shape, SCORE_BIAS) ? (size_t)lq * (size_t)lk : 0;
    return kernel_work(shape) + bias;
}

const mtf_op mtf_op_attention = {.name = "attention",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = attention_check,
                                 .forward = attention_forward,
                                 .backward = attention_backward,
                                 .saves = attention_saves,
                                 .cost = attention_cost,
                                 .work = attention_work};
