/* Attention of several heads over packed sequences, forward and backward.
 *
 *   per sequence and head:  P = softmax(scale * q k^T + r)     y = drop(P) v
 *   dv = drop(P)^T dy     dP = drop(dy v^T)     dS = P * (dP - rowsum(dy * y))
 *   dq = scale * dS k     dk = scale * dS^T q   dr = dS
 *
 * Query head h owns columns h*D .. (h+1)*D-1 of q and y, and reads head h / (Hq / Hkv) of k and v; k and
 * v may be columns of q's rows ([q|k|v]). Queries and keys have row spaces of their own, so that
 * sequence s of one attends to sequence s of the other; the last query stands at the last key, query i
 * at place i + Lk - Lq. It sees the keys from its place - left to its place + right (-1: all).
 * r: relative bias, one value a head and bucket of distances (relative.h), from a table that trains.
 * Saved for backward: q, k, v, y and the log-sum-exp of each row; never the (L,L) probabilities, which
 * are computed again.
 * Dropout (rate > 0): row key of query i is mix(mix(mix(mix(dropout_key, key), sequence), head), i).
 * Cut: forward over one block on many workers by (sequence, head), backward by (sequence, head of k and
 * v) with the query heads of a group in order; columns of a head are written by its own items only. The
 * table's gradient is summed within an item, then over sequences in order.
 * Tolerance family: gemm. Reference: Vaswani et al. 2017; the recomputation as in Dao et al. 2022;
 * grouped heads as in Ainslie et al. 2023.
 * Derivation: docs/derivations/attention.md. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "relative.h"
#include "span.h"

enum { Q, K, V };
enum { RELATIVE };

/* Where heads lie: inputs and columns of q, k and v. */
typedef struct layout {
    int64_t n_heads, n_kv_heads, d;
    int k_input, v_input;
    int64_t k_column, v_column;
} layout;

static layout layout_of(const mtf_node_shape *shape)
{
    layout of = {.n_heads = shape->attrs.n_heads,
                 .n_kv_heads = shape->attrs.n_kv_heads,
                 .d = shape->attrs.head_width,
                 .k_input = K,
                 .v_input = V};
    if (!mtf_has_input(shape, K)) {
        of.k_input = of.v_input = Q;
        of.k_column = of.n_heads * of.d;
        of.v_column = (of.n_heads + of.n_kv_heads) * of.d;
    }
    return of;
}

/* Fills in what the attributes leave open, and holds them and the widths to each other. */
static mtf_status check_heads(mtf_node_shape *shape, mtf_error *err)
{
    mtf_attrs *attrs = &shape->attrs;
    const int fused = !mtf_has_input(shape, K) && !mtf_has_input(shape, V);
    const int64_t width = shape->in[Q].width;
    const int64_t heads = attrs->n_heads;
    const int64_t kv_heads = attrs->n_kv_heads != 0 ? attrs->n_kv_heads : heads;
    if (kv_heads < 1 || heads < 1 || heads % kv_heads != 0) {
        return mtf_fail(
            err, MTF_ERR_SHAPE,
            "%s: attention expects heads of keys that divide the %lld heads of queries, "
            "found %lld; correct the configuration",
            shape->label, (long long)heads, (long long)kv_heads);
    }
    const int64_t parts = fused ? heads + 2 * kv_heads : heads;
    if (attrs->head_width == 0 && width % parts != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: attention expects a number of heads that divides the width %lld, "
                        "found %lld; correct the configuration",
                        shape->label, (long long)width, (long long)parts);
    }
    const int64_t d = attrs->head_width != 0 ? attrs->head_width : width / parts;
    if (d < 1 || d > width || width != parts * d) {
        return mtf_fail(
            err, MTF_ERR_SHAPE,
            "%s: attention expects %lld heads of width %lld side by side, found rows of "
            "%lld; correct the configuration",
            shape->label, (long long)parts, (long long)d, (long long)width);
    }
    if (!fused) {
        MTF_TRY(mtf_check_input(shape, "attention", K, "k", kv_heads * d, err));
        MTF_TRY(mtf_check_input(shape, "attention", V, "v", kv_heads * d, err));
        if (shape->in[V].space != shape->in[K].space) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "%s: attention expects k and v in one row space, found two; connect "
                            "both to the same sequence",
                            shape->label);
        }
    }
    attrs->n_kv_heads = (int32_t)kv_heads;
    attrs->head_width = d;
    return MTF_OK;
}

static mtf_status check_relative(const mtf_node_shape *shape, mtf_error *err)
{
    if (!mtf_has_weight(shape, RELATIVE)) {
        return MTF_OK;
    }
    MTF_TRY(mtf_check_weight(shape, "attention", RELATIVE, "relative bias", 0, shape->attrs.n_heads,
                             err));
    const int64_t buckets = shape->weight_rows[RELATIVE];
    if (buckets < 4 || buckets > MTF_RELATIVE_MOST || buckets % 2 != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: attention expects an even number of relative buckets from 4 to %d, "
                        "found %lld; correct the configuration",
                        shape->label, MTF_RELATIVE_MOST, (long long)buckets);
    }
    if (shape->attrs.max_distance <= buckets / 4) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: attention expects a largest relative distance above %lld for %lld "
                        "buckets, found %lld; correct the configuration",
                        shape->label, (long long)(buckets / 4), (long long)buckets,
                        (long long)shape->attrs.max_distance);
    }
    return MTF_OK;
}

static mtf_status attention_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "attention", Q, "q", 0, err));
    MTF_TRY(check_heads(shape, err));
    MTF_TRY(check_relative(shape, err));
    MTF_TRY(mtf_check_rate(shape, "attention", err));
    const double scale = (double)shape->attrs.scale;
    if (!(scale > 0) || !isfinite(scale)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: attention expects a positive, finite scale, found %g; use "
                        "1/sqrt(head width)",
                        shape->label, scale);
    }
    const int64_t least =
        shape->attrs.left < shape->attrs.right ? shape->attrs.left : shape->attrs.right;
    if (least < -1) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "%s: attention expects windows of 0 or more keys, or -1 for all, found %lld; "
            "correct the configuration",
            shape->label, (long long)least);
    }
    mtf_set_output(shape, shape->in[Q].space, shape->attrs.n_heads * shape->attrs.head_width);
    shape->aux[0].space = shape->in[Q].space;
    shape->aux[0].width = shape->attrs.n_heads;
    return MTF_OK;
}

/* What all items of a call share. */
typedef struct attention_run {
    const mtf_op_call *call;
    mtf_relative table; /* of the relative bias, if there is one */
} attention_run;

static attention_run begin_run(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    attention_run run = {.call = call};
    if (mtf_has_weight(shape, RELATIVE)) {
        run.table = mtf_relative_of(shape->weight_rows[RELATIVE], shape->attrs.n_heads,
                                    shape->attrs.max_distance);
    }
    return run;
}

/* One head of one sequence: the arguments of the kernels, and what they are made of. */
typedef struct head_item {
    const attention_run *run;
    layout of;
    int64_t first_q, first_k; /* rows of the span */
    mtf_real *relative;       /* (Lq+Lk-1) in work, or NULL */
    mtf_mask mask;
    mtf_attention_args args;
} head_item;

/* Fills in the sequence's part; `work` is this worker's: of the kernels, then the diagonals of a bias
 * and of its gradient. */
static void begin_sequence(head_item *item, const attention_run *run, int64_t sequence,
                           mtf_real *work)
{
    const mtf_node_shape *shape = run->call->shape;
    const mtf_span *span = run->call->span;
    const layout of = layout_of(shape);
    const int32_t space_q = shape->in[Q].space;
    const int32_t space_k = shape->in[of.k_input].space;
    const int64_t first_q = mtf_span_start(span, space_q, sequence);
    const int64_t first_k = mtf_span_start(span, space_k, sequence);
    *item = (head_item){.run = run,
                        .of = of,
                        .first_q = first_q,
                        .first_k = first_k,
                        .args = {.ldq = shape->in[Q].width,
                                 .ldk = shape->in[of.k_input].width,
                                 .ldv = shape->in[of.v_input].width,
                                 .ldo = shape->out[0].width,
                                 .ld_lse = of.n_heads,
                                 .lq = mtf_span_start(span, space_q, sequence + 1) - first_q,
                                 .lk = mtf_span_start(span, space_k, sequence + 1) - first_k,
                                 .d = of.d,
                                 .left = shape->attrs.left,
                                 .right = shape->attrs.right,
                                 .scale = shape->attrs.scale,
                                 .work = work}};
    if (mtf_has_weight(shape, RELATIVE)) {
        item->relative = work + mtf_attention_work(of.d);
    }
}

/* Where queries, or keys and values of the query head `head`, begin in arrays of their rows. */
static int64_t query_at(const head_item *item, int64_t head)
{
    return item->first_q * item->args.ldq + head * item->of.d;
}

static int64_t output_at(const head_item *item, int64_t head)
{
    return item->first_q * item->args.ldo + head * item->of.d;
}

static int64_t kv_head(const head_item *item, int64_t head)
{
    return head / (item->of.n_heads / item->of.n_kv_heads);
}

static int64_t key_at(const head_item *item, int64_t head)
{
    return item->first_k * item->args.ldk + item->of.k_column + kv_head(item, head) * item->of.d;
}

static int64_t value_at(const head_item *item, int64_t head)
{
    return item->first_k * item->args.ldv + item->of.v_column + kv_head(item, head) * item->of.d;
}

/* Moves to head `head`. */
static void begin_head(head_item *item, int64_t sequence, int64_t head)
{
    const mtf_op_call *call = item->run->call;
    mtf_attention_args *args = &item->args;
    const mtf_real *v = call->in[item->of.v_input];
    args->q = call->in[Q] + query_at(item, head);
    args->k = call->in[item->of.k_input] + key_at(item, head);
    /* what a gradient of v alone does not read was not saved, and forward need not keep lse */
    args->v = v != NULL ? v + value_at(item, head) : NULL;
    args->out = call->out[0] != NULL ? call->out[0] + output_at(item, head) : NULL;
    args->lse = call->aux[0] != NULL ? call->aux[0] + item->first_q * args->ld_lse + head : NULL;
    if (item->relative != NULL) {
        mtf_relative_spread(item->relative, call->w[RELATIVE]->master + head, &item->run->table,
                            args->lq, args->lk);
        args->relative = item->relative;
    }
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
    const attention_run *run = context;
    const mtf_op_call *call = run->call;
    mtf_real *work = call->work + (size_t)worker * call->work_stride;
    const int64_t n_heads = call->shape->attrs.n_heads;
    head_item item;
    begin_sequence(&item, run, index / n_heads, work);
    begin_head(&item, index / n_heads, index % n_heads);
    mtf_kernel->attention_fwd(&item.args);
}

static void attention_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_span *span = call->span;
    attention_run run = begin_run(call);
    if (call->work_stride > 0) {
        mtf_parallel_work(span->n_sequences * shape->attrs.n_heads,
                          4 * span->n_rows[shape->in[Q].space] * shape->out[0].width *
                              span->max_length[shape->in[layout_of(shape).k_input].space],
                          wide_item, &run);
        return;
    }
    for (int64_t s = 0; s < span->n_sequences; s++) {
        head_item item;
        begin_sequence(&item, &run, s, call->work);
        for (int64_t h = 0; h < shape->attrs.n_heads && !mtf_stopping(); h++) {
            begin_head(&item, s, h);
            mtf_kernel->attention_fwd(&item.args);
        }
    }
}

/* Backward of one query head, the first of its group or not: later ones add to what it gave k and v. */
static void backward_head(head_item *item, int64_t sequence, int64_t head, int is_first)
{
    const mtf_op_call *call = item->run->call;
    const layout *of = &item->of;
    mtf_attention_args *args = &item->args;
    mtf_real *dq = call->din[Q];
    mtf_real *dk = call->din[of->k_input];
    mtf_real *dv = call->din[of->v_input];
    begin_head(item, sequence, head);
    args->dout = call->dout[0] + output_at(item, head);
    args->dq = dq != NULL ? dq + query_at(item, head) : NULL;
    args->dk = dk != NULL ? dk + key_at(item, head) : NULL;
    args->dv = dv != NULL ? dv + value_at(item, head) : NULL;
    args->add_q = call->din_add[Q];
    args->add_k = call->din_add[of->k_input] || !is_first;
    args->add_v = call->din_add[of->v_input] || !is_first;
    if (call->dw[RELATIVE] == NULL) {
        mtf_kernel->attention_bwd(args);
        return;
    }
    const mtf_relative *table = &item->run->table;
    const int64_t n_diagonals = args->lq + args->lk - 1;
    args->drelative = item->relative + n_diagonals;
    memset(args->drelative, 0, (size_t)n_diagonals * sizeof *args->drelative);
    mtf_kernel->attention_bwd(args);
    mtf_relative_gather(call->shared + (sequence * of->n_heads + head) * table->n_buckets,
                        args->drelative, table, args->lq, args->lk);
}

static void backward_item(void *context, int64_t index, int worker)
{
    const attention_run *run = context;
    const mtf_op_call *call = run->call;
    const mtf_attrs *attrs = &call->shape->attrs;
    const int64_t group = attrs->n_heads / attrs->n_kv_heads;
    const int64_t sequence = index / attrs->n_kv_heads;
    const int64_t first = index % attrs->n_kv_heads * group;
    head_item item;
    begin_sequence(&item, run, sequence, call->work + (size_t)worker * call->work_stride);
    for (int64_t h = first; h < first + group && !mtf_stopping(); h++) {
        backward_head(&item, sequence, h, h == first);
    }
}

/* dw (buckets, Hq) from the sums of each sequence and head in `shared`. */
static void sum_table(const mtf_op_call *call)
{
    const int64_t n_buckets = call->shape->weight_rows[RELATIVE];
    const int64_t n_heads = call->shape->attrs.n_heads;
    mtf_real *dw = call->dw[RELATIVE];
    for (int64_t b = 0; b < n_buckets; b++) {
        for (int64_t h = 0; h < n_heads; h++) {
            mtf_real *sum = dw + b * n_heads + h;
            *sum = call->dw_add[RELATIVE] ? *sum : 0;
            for (int64_t s = 0; s < call->span->n_sequences; s++) {
                *sum += call->shared[(s * n_heads + h) * n_buckets + b];
            }
        }
    }
}

static void attention_backward(const mtf_op_call *call)
{
    const int table_trains = call->dw[RELATIVE] != NULL;
    if (call->din[Q] == NULL && call->din[K] == NULL && call->din[V] == NULL && !table_trains) {
        return;
    }
    attention_run run = begin_run(call);
    mtf_parallel_for(call->span->n_sequences * call->shape->attrs.n_kv_heads, backward_item, &run);
    if (table_trains) {
        sum_table(call);
    }
}

static mtf_save attention_saves(const mtf_node_shape *shape, mtf_need need)
{
    const layout of = layout_of(shape);
    const uint32_t q_and_k = 1U << Q | 1U << of.k_input;
    mtf_save save = {0};
    if (need.dx != 0 || need.dw != 0) {
        save.in = q_and_k;
        save.aux = 1U;
    }
    if ((need.dx & q_and_k) != 0 || need.dw != 0) {
        save.in |= 1U << of.v_input;
        save.out = 1U;
    }
    return save;
}

/* Pairs of a query and a key that it sees, of all sequences. */
static double count_pairs(const mtf_node_shape *shape, const mtf_extent *extent)
{
    const int64_t *at_q = extent->offsets[shape->in[Q].space];
    const int64_t *at_k = extent->offsets[shape->in[layout_of(shape).k_input].space];
    mtf_attention_args args = {
        .lq = 1, .lk = 1, .left = shape->attrs.left, .right = shape->attrs.right};
    double pairs = 0;
    for (int64_t s = 0; s < extent->n_rows[MTF_SPACE_SEQUENCES]; s++) {
        args.lq = at_q != NULL ? at_q[s + 1] - at_q[s] : 1;
        args.lk = at_k != NULL ? at_k[s + 1] - at_k[s] : 1;
        pairs += (double)mtf_attention_pairs(&args);
    }
    return pairs;
}

/* Two products forward; backward the scores anew, their gradients for q, k and the table, and one
 * product a gradient; five operations a probability for the softmax, one for the table's gradient. */
static mtf_cost attention_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const layout of = layout_of(shape);
    const uint32_t q_and_k = 1U << Q | 1U << of.k_input;
    const double pairs = count_pairs(shape, extent);
    const double product = 2 * pairs * (double)(of.n_heads * of.d);
    const double softmax = 5 * pairs * (double)of.n_heads;
    mtf_cost cost = {.forward = 2 * product + softmax};
    if (need.dx != 0 || need.dw != 0) {
        const int products = 1 + ((need.dx & q_and_k) != 0 || need.dw != 0) +
                             ((need.dx >> Q & 1U) != 0) + ((need.dx >> of.k_input & 1U) != 0) +
                             ((need.dx >> of.v_input & 1U) != 0);
        *(need.dx != 0 ? &cost.dx : &cost.dw) = products * product + softmax;
    }
    cost.dw += need.dw != 0 ? pairs * (double)of.n_heads : 0;
    return cost;
}

static size_t attention_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    const layout of = layout_of(shape);
    const size_t lq = (size_t)extent->max_length[shape->in[Q].space];
    const size_t lk = (size_t)extent->max_length[shape->in[of.k_input].space];
    const size_t vectors = mtf_has_weight(shape, RELATIVE) ? (backward ? 2 : 1) : 0;
    return mtf_attention_work(of.d) + vectors * (lq + lk);
}

static size_t attention_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                               mtf_precision precision)
{
    (void)precision;
    return need.dw != 0 ? (size_t)extent->n_rows[MTF_SPACE_SEQUENCES] *
                              (size_t)shape->attrs.n_heads * (size_t)shape->weight_rows[RELATIVE]
                        : 0;
}

const mtf_op mtf_op_attention = {.name = "attention",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = attention_check,
                                 .forward = attention_forward,
                                 .backward = attention_backward,
                                 .saves = attention_saves,
                                 .cost = attention_cost,
                                 .work = attention_work,
                                 .shared = attention_shared};
