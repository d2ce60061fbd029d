/* Disentangled attention: backward (disentangled.c: formulas, facts and forward).
 *
 * Items write the columns of their head in the rows of their sequence; each gradient is made by
 * products in one order, whichever others are asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "disentangled.h"

#include "../base/real.h"
#include "../base/threads.h"

/* dS of the scores in p, into t. */
static void score_gradients(const disentangled_item *x)
{
    const mtf_op_call *call = x->call;
    const mtf_real *dy = call->dout[0] + x->at, *y = call->out[0] + x->at;
    const mtf_real scale = call->shape->attrs.scale;
    mtf_disentangled_product(x, x->t, call->dout[0], call->in[DISENTANGLED_V]);
    for (int64_t i = 0; i < x->n; i++) {
        const uint64_t row_key = mtf_random_mix(x->mask.key, (uint64_t)i);
        mtf_real mean = 0;
        for (int64_t a = 0; a < x->d; a++) {
            mean += dy[i * x->c + a] * y[i * x->c + a];
        }
        for (int64_t j = 0; j < x->n; j++) {
            const int64_t at = i * x->n + j;
            const mtf_real through =
                x->drops ? x->t[at] * mtf_disentangled_kept(x, row_key, j) : x->t[at];
            x->t[at] = scale * x->p[at] * (through - mean);
        }
    }
}

/* u[i][m] = dS of row i at distance m ahead (i - m), or back (i + m); of_keys: of column i, at
 * query i + m or i - m. */
static void pick(const disentangled_item *x, int back, int of_keys)
{
    const int64_t n = x->n;
    const int64_t sign = (back != 0) == (of_keys != 0) ? -1 : 1;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t m = 0; m < n; m++) {
            const int64_t other = i + sign * m;
            const int there = other >= 0 && other < n && (m > 0 || !back);
            x->u[i * n + m] = !there ? 0 : of_keys ? x->t[other * n + i] : x->t[i * n + other];
        }
    }
}

/* Adds what input `content` gets by way of the rows of distances in input `distance`, and gives
 * these their gradient. */
static void distance_gradients(const disentangled_item *x, int content, int distance, int back)
{
    const mtf_op_call *call = x->call;
    if (call->in[distance] == NULL || (call->din[content] == NULL && call->din[distance] == NULL)) {
        return;
    }
    pick(x, back, content == DISENTANGLED_K);
    if (call->din[content] != NULL) {
        mtf_kernel->gemm_nn(call->din[content] + x->at, x->c, x->u, x->n,
                            call->in[distance] + x->at, x->c, x->n, x->d, x->n, 1);
    }
    if (call->din[distance] != NULL) {
        mtf_kernel->gemm_tn(call->din[distance] + x->at, x->c, x->u, x->n,
                            call->in[content] + x->at, x->c, x->n, x->d, x->n,
                            call->din_add[distance]);
    }
}

static uint32_t wanted(const mtf_op_call *call)
{
    uint32_t dx = 0;
    for (int i = DISENTANGLED_Q; i < DISENTANGLED_INPUTS; i++) {
        dx |= call->din[i] != NULL ? 1U << i : 0;
    }
    return dx;
}

static void backward_item(void *context, int64_t index, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t n_heads = call->shape->attrs.n_heads;
    const disentangled_item x = mtf_disentangled_begin(
        call, index / n_heads, index % n_heads, call->work + (size_t)worker * call->work_stride);
    const uint32_t dx = wanted(call);
    const mtf_real scale = call->shape->attrs.scale;
    mtf_disentangled_scores(&x);
    for (int64_t i = 0; i < x.n; i++) {
        for (int64_t j = 0; j < x.n; j++) {
            x.p[i * x.n + j] = mtf_exp(scale * x.p[i * x.n + j] - x.lse[i * n_heads]);
        }
    }
    if (call->din[DISENTANGLED_V] != NULL) {
        mtf_disentangled_drop(&x, x.u);
        mtf_kernel->gemm_tn(call->din[DISENTANGLED_V] + x.at, x.c, x.u, x.n, call->dout[0] + x.at,
                            x.c, x.n, x.d, x.n, call->din_add[DISENTANGLED_V]);
    }
    if (dx & ~(1U << DISENTANGLED_V)) {
        score_gradients(&x);
        if (call->din[DISENTANGLED_Q] != NULL) {
            mtf_kernel->gemm_nn(call->din[DISENTANGLED_Q] + x.at, x.c, x.t, x.n,
                                call->in[DISENTANGLED_K] + x.at, x.c, x.n, x.d, x.n,
                                call->din_add[DISENTANGLED_Q]);
        }
        if (call->din[DISENTANGLED_K] != NULL) {
            mtf_kernel->gemm_tn(call->din[DISENTANGLED_K] + x.at, x.c, x.t, x.n,
                                call->in[DISENTANGLED_Q] + x.at, x.c, x.n, x.d, x.n,
                                call->din_add[DISENTANGLED_K]);
        }
        distance_gradients(&x, DISENTANGLED_Q, DISENTANGLED_KP_AHEAD, 0);
        distance_gradients(&x, DISENTANGLED_Q, DISENTANGLED_KP_BACK, 1);
        distance_gradients(&x, DISENTANGLED_K, DISENTANGLED_QP_AHEAD, 0);
        distance_gradients(&x, DISENTANGLED_K, DISENTANGLED_QP_BACK, 1);
    }
    mtf_disentangled_count(&x, MTF_FLOPS_DX, mtf_disentangled_backward_amount(call->shape, dx));
}

void mtf_disentangled_backward(const mtf_op_call *call)
{
    if (wanted(call) != 0) {
        mtf_parallel_for(call->span->n_sequences * call->shape->attrs.n_heads, backward_item,
                         &call);
    }
}
