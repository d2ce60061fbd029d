/* Disentangled attention (He et al. 2021): contents attend to contents and to distances.
 *
 *   per sequence and head, r = i - j:
 *   S_ij = scale (q_i.k_j + q_i.kp_r + k_j.qp_r)    P = softmax(S)    y = drop(P) v
 *   x_r is row r of x ahead for r >= 0, row -r of x back for r < 0 (distance_rows.c)
 *
 *   dS = scale P * (drop(dy v^T) - rowsum(dy * y))    dv = drop(P)^T dy
 *   dq_i = sum_j dS_ij (k_j + kp_r)    dk_j = sum_i dS_ij (q_i + qp_r)
 *   dkp_r = sum over i - j = r of dS_ij q_i    dqp_r = sum over i - j = r of dS_ij k_j
 *
 * Inputs: q, k, v, and kp ahead, kp back, qp ahead, qp back, all (R,C), head h in columns h D ..;
 * either pair of the last four may be absent. The products with distances are made for all rows of a
 * sequence and picked from: products of matrices, the same number whichever distances occur.
 * Saved for backward: all inputs, y and the log-sum-exp of each row; never the (L,L) probabilities.
 * Dropout: as in attention.c. Cut: (sequence, head) items, whose columns nobody else writes.
 * Tolerance family: gemm. Derivation: docs/derivations/disentangled.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "disentangled.h"

#include <math.h>

#include "../base/real.h"
#include "../base/status.h"
#include "../base/threads.h"

static const char *const names[DISENTANGLED_INPUTS] = {"q",       "k",        "v",      "kp ahead",
                                                       "kp back", "qp ahead", "qp back"};

static mtf_status disentangled_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t c = shape->in[DISENTANGLED_Q].width;
    const int64_t heads = shape->attrs.n_heads;
    const double scale = (double)shape->attrs.scale;
    for (int i = DISENTANGLED_Q; i < DISENTANGLED_INPUTS; i++) {
        /* of a pair that is there by half the other half is missed */
        const int pair = i < DISENTANGLED_KP_AHEAD ? i : i + (i % 2 == 1 ? 1 : -1);
        if (i < DISENTANGLED_KP_AHEAD || mtf_has_input(shape, i) || mtf_has_input(shape, pair)) {
            MTF_TRY(mtf_check_input(shape, "disentangled attention", i, names[i],
                                    i > DISENTANGLED_Q ? c : 0, err));
            MTF_TRY(mtf_check_space(shape, "disentangled attention", i, names[i], err));
        }
    }
    MTF_TRY(mtf_check_rate(shape, "disentangled attention", err));
    if (heads < 1 || c % heads != 0) {
        return mtf_fail(
            err, MTF_ERR_SHAPE,
            "%s: disentangled attention expects a number of heads that divides the width "
            "%lld, found %lld; correct the configuration",
            shape->label, (long long)c, (long long)heads);
    }
    if (!(scale > 0) || !isfinite(scale)) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "%s: disentangled attention expects a positive, finite scale, found %g; use "
            "1/sqrt(head width * kinds of scores)",
            shape->label, scale);
    }
    mtf_set_output(shape, shape->in[DISENTANGLED_Q].space, c);
    shape->aux[0] = (mtf_slot){.space = shape->in[DISENTANGLED_Q].space, .width = heads};
    return MTF_OK;
}

disentangled_item mtf_disentangled_begin(const mtf_op_call *call, int64_t sequence, int64_t head,
                                         mtf_real *work)
{
    const mtf_node_shape *shape = call->shape;
    const int32_t space = shape->in[DISENTANGLED_Q].space;
    const int64_t first = mtf_span_start(call->span, space, sequence);
    disentangled_item x = {.call = call,
                           .n = mtf_span_start(call->span, space, sequence + 1) - first,
                           .c = shape->out[0].width,
                           .d = shape->out[0].width / shape->attrs.n_heads};
    x.at = first * x.c + head * x.d;
    x.p = work;
    x.t = x.p + x.n * x.n;
    x.u = x.t + x.n * x.n;
    x.lse = call->aux[0] != NULL ? call->aux[0] + first * shape->attrs.n_heads + head : NULL;
    x.drops = mtf_drop_active(call);
    if (x.drops) {
        x.mask = (mtf_mask){.key = mtf_random_mix(mtf_drop_key(call, sequence), (uint64_t)head),
                            .threshold = mtf_drop_threshold(shape->attrs.rate),
                            .keep_scale = mtf_drop_scale(shape->attrs.rate)};
    }
    return x;
}

void mtf_disentangled_product(const disentangled_item *x, mtf_real *y, const mtf_real *a,
                              const mtf_real *b)
{
    mtf_kernel->gemm_nt(y, x->n, a + x->at, x->c, b + x->at, x->c, x->n, x->n, x->d, 0);
}

void mtf_disentangled_scores(const disentangled_item *x)
{
    const mtf_real *const *in = x->call->in;
    const int64_t n = x->n;
    mtf_disentangled_product(x, x->p, in[DISENTANGLED_Q], in[DISENTANGLED_K]);
    if (in[DISENTANGLED_KP_AHEAD] != NULL) {
        mtf_disentangled_product(x, x->t, in[DISENTANGLED_Q], in[DISENTANGLED_KP_AHEAD]);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j <= i; j++) {
                x->p[i * n + j] += x->t[i * n + i - j];
            }
        }
        mtf_disentangled_product(x, x->t, in[DISENTANGLED_Q], in[DISENTANGLED_KP_BACK]);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = i + 1; j < n; j++) {
                x->p[i * n + j] += x->t[i * n + j - i];
            }
        }
    }
    if (in[DISENTANGLED_QP_AHEAD] != NULL) {
        mtf_disentangled_product(x, x->t, in[DISENTANGLED_K], in[DISENTANGLED_QP_AHEAD]);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j <= i; j++) {
                x->p[i * n + j] += x->t[j * n + i - j];
            }
        }
        mtf_disentangled_product(x, x->t, in[DISENTANGLED_K], in[DISENTANGLED_QP_BACK]);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = i + 1; j < n; j++) {
                x->p[i * n + j] += x->t[j * n + j - i];
            }
        }
    }
}

/* Scores in p to probabilities; their log-sum-exp where it is kept. */
static void softmax(const disentangled_item *x)
{
    const mtf_real scale = x->call->shape->attrs.scale;
    for (int64_t i = 0; i < x->n; i++) {
        mtf_real *row = x->p + i * x->n;
        mtf_real most = row[0], sum = 0;
        for (int64_t j = 1; j < x->n; j++) {
            most = row[j] > most ? row[j] : most;
        }
        for (int64_t j = 0; j < x->n; j++) {
            row[j] = mtf_exp(scale * (row[j] - most));
            sum += row[j];
        }
        for (int64_t j = 0; j < x->n; j++) {
            row[j] /= sum;
        }
        if (x->lse != NULL) {
            x->lse[i * x->call->shape->attrs.n_heads] = scale * most + mtf_log(sum);
        }
    }
}

void mtf_disentangled_drop(const disentangled_item *x, mtf_real *to)
{
    for (int64_t i = 0; i < x->n; i++) {
        const uint64_t row_key = mtf_random_mix(x->mask.key, (uint64_t)i);
        for (int64_t j = 0; j < x->n; j++) {
            const mtf_real factor = x->drops ? mtf_disentangled_kept(x, row_key, j) : 1;
            to[i * x->n + j] = x->p[i * x->n + j] * factor;
        }
    }
}

static void forward_head(const disentangled_item *x)
{
    mtf_disentangled_scores(x);
    softmax(x);
    if (x->drops) {
        mtf_disentangled_drop(x, x->p);
    }
    mtf_kernel->gemm_nn(x->call->out[0] + x->at, x->c, x->p, x->n,
                        x->call->in[DISENTANGLED_V] + x->at, x->c, x->n, x->d, x->n, 0);
    mtf_disentangled_count(x, MTF_FLOPS_FORWARD, mtf_disentangled_forward_amount(x->call->shape));
}

static void forward_item(void *context, int64_t index, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t n_heads = call->shape->attrs.n_heads;
    const disentangled_item x = mtf_disentangled_begin(
        call, index / n_heads, index % n_heads, call->work + (size_t)worker * call->work_stride);
    forward_head(&x);
}

static void disentangled_forward(const mtf_op_call *call)
{
    const mtf_span *span = call->span;
    const int64_t n_items = span->n_sequences * call->shape->attrs.n_heads;
    if (call->work_stride > 0) {
        const int32_t space = call->shape->in[DISENTANGLED_Q].space;
        mtf_parallel_work(
            n_items, 12 * span->n_rows[space] * call->shape->out[0].width * span->max_length[space],
            forward_item, &call);
        return;
    }
    for (int64_t i = 0; i < n_items && !mtf_stopping(); i++) {
        forward_item(&call, i, 0);
    }
}

static mtf_save disentangled_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dx != 0) {
        for (int i = DISENTANGLED_Q; i < DISENTANGLED_INPUTS; i++) {
            save.in |= mtf_has_input(shape, i) ? 1U << i : 0;
        }
        save.out = 1U;
        save.aux = 1U;
    }
    return save;
}

static mtf_cost disentangled_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                  mtf_need need)
{
    const int64_t *offsets = extent->offsets[shape->in[DISENTANGLED_Q].space];
    const double heads = shape->attrs.n_heads;
    const double d = (double)(shape->out[0].width / shape->attrs.n_heads);
    const disentangled_amount forward = mtf_disentangled_forward_amount(shape),
                              back = mtf_disentangled_backward_amount(shape, need.dx);
    double pairs = 0;
    for (int64_t s = 0; s < extent->n_rows[MTF_SPACE_SEQUENCES]; s++) {
        const double n = offsets != NULL ? (double)(offsets[s + 1] - offsets[s]) : 1;
        pairs += n * n;
    }
    mtf_cost cost = {.forward = pairs * heads * (2 * d * forward.products + forward.passes)};
    if (need.dx != 0) {
        cost.dx = pairs * heads * (2 * d * back.products + back.passes);
    }
    return cost;
}

static size_t disentangled_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    const size_t n = (size_t)extent->max_length[shape->in[DISENTANGLED_Q].space];
    return (backward ? 3 : 2) * n * n;
}

const mtf_op mtf_op_disentangled = {.name = "disentangled attention",
                                    .locality = MTF_LOCAL_SEQUENCE,
                                    .check = disentangled_check,
                                    .forward = disentangled_forward,
                                    .backward = mtf_disentangled_backward,
                                    .saves = disentangled_saves,
                                    .cost = disentangled_cost,
                                    .work = disentangled_work};
