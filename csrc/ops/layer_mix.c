/* A learned mix of layers, forward and backward (Peters et al. 2018).
 *
 *   p = softmax(w)    y = rest + gamma sum_i p[first + i] h_i
 *   dh_i = gamma p[first + i] dy    drest = dy    d_i = sum over rows of dy . h_i
 *   dgamma = sum_i p[first + i] d_i    dw_j = gamma p[j] ((d_i of j = first + i, or 0) - dgamma)
 *
 * A node mixes up to MTF_MAX_IN - 1 of the n layers that w has a number for, from number `first` on; what
 * nodes before it have mixed comes in as the rest. The softmax is over all n, so that a chain of nodes is
 * one mix: their gradients of w and gamma add up.
 * Saved for backward: the layers where w or gamma trains. Cut: dh by rows; d_i by layers, rows in order.
 * Tolerance family: reduction. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/flops.h"
#include "../base/real.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 64 };

enum { REST = MTF_MAX_IN - 1 };
enum { WEIGHT, GAMMA };

static int n_layers(const mtf_node_shape *shape)
{
    int n = 0;
    while (n < REST && mtf_has_input(shape, n)) {
        n++;
    }
    return n;
}

static mtf_status layer_mix_check(mtf_node_shape *shape, mtf_error *err)
{
    const int n = n_layers(shape);
    for (int i = 0; i < n || i == 0; i++) {
        MTF_TRY(
            mtf_check_input(shape, "layer_mix", i, "layer", i > 0 ? shape->in[0].width : 0, err));
        MTF_TRY(mtf_check_space(shape, "layer_mix", i, "layer", err));
    }
    if (mtf_has_input(shape, REST)) {
        MTF_TRY(mtf_check_input(shape, "layer_mix", REST, "rest", shape->in[0].width, err));
        MTF_TRY(mtf_check_space(shape, "layer_mix", REST, "rest", err));
    }
    MTF_TRY(mtf_check_weight(shape, "layer_mix", WEIGHT, "weight", 0, 1, err));
    MTF_TRY(mtf_check_weight(shape, "layer_mix", GAMMA, "gamma", 1, 1, err));
    const int64_t first = shape->attrs.mix_first;
    if (first < 0 || first + n > shape->weight_rows[WEIGHT]) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: layer_mix expects %d layers from number %lld on among the %lld that "
                        "its weight has numbers for; build it with mtf_node_layer_mix",
                        shape->label, n, (long long)first, (long long)shape->weight_rows[WEIGHT]);
    }
    mtf_set_output(shape, shape->in[0].space, shape->in[0].width);
    return MTF_OK;
}

/* p (n): the softmax of the weight (n). */
static void shares(const mtf_op_call *call, mtf_real *p)
{
    const mtf_real *w = call->w[WEIGHT]->master;
    const int64_t n = call->shape->weight_rows[WEIGHT];
    mtf_real most = w[0], sum = 0;
    for (int64_t i = 1; i < n; i++) {
        most = w[i] > most ? w[i] : most;
    }
    for (int64_t i = 0; i < n; i++) {
        p[i] = mtf_exp(w[i] - most);
        sum += p[i];
    }
    for (int64_t i = 0; i < n; i++) {
        p[i] /= sum;
    }
}

static void layer_mix_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[0].width;
    const int64_t n_values = call->span->n_rows[shape->in[0].space] * c;
    const int n = n_layers(shape);
    const mtf_real gamma = call->w[GAMMA]->master[0];
    const mtf_real *rest = call->in[REST];
    mtf_real *p = call->work;
    shares(call, p);
    for (int64_t at = 0; at < n_values; at++) {
        mtf_real y = rest != NULL ? rest[at] : 0;
        for (int i = 0; i < n; i++) {
            y += gamma * p[shape->attrs.mix_first + i] * call->in[i][at];
        }
        call->out[0][at] = y;
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, 2 * n * n_values);
}

/* One call of backward: shares p (n of the weight), and d_i (n of the node), in shared memory. */
typedef struct mix_job {
    const mtf_op_call *call;
    mtf_real *p, *dots;
} mix_job;

static void rows_item(void *context, int64_t item, int worker)
{
    const mix_job *job = context;
    const mtf_op_call *call = job->call;
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[0].width, at = item * ROWS * c;
    const int64_t end = mtf_piece_end(call->span->n_rows[shape->in[0].space], ROWS, item);
    const int64_t n_values = end * c - at;
    const mtf_real *dy = call->dout[0] + at;
    (void)worker;
    for (int i = 0; i < n_layers(shape); i++) {
        const mtf_real factor = call->w[GAMMA]->master[0] * job->p[shape->attrs.mix_first + i];
        mtf_real *dh = call->din[i];
        for (int64_t j = 0; dh != NULL && j < n_values; j++) {
            dh[at + j] = factor * dy[j] + (call->din_add[i] ? dh[at + j] : 0);
        }
        mtf_flops_add(MTF_FLOPS_DX, dh != NULL ? n_values : 0);
    }
    mtf_deliver(call->din[REST] != NULL ? call->din[REST] + at : NULL, dy, n_values,
                call->din_add[REST]);
}

static void layer_item(void *context, int64_t i, int worker)
{
    const mix_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t n_values =
        call->span->n_rows[call->shape->in[0].space] * call->shape->in[0].width;
    double dot = 0;
    (void)worker;
    for (int64_t at = 0; at < n_values; at++) {
        dot += (double)call->dout[0][at] * (double)call->in[i][at];
    }
    job->dots[i] = (mtf_real)dot;
    mtf_flops_add(MTF_FLOPS_DW, 2 * n_values);
}

/* dw = or += value. */
static void put(mtf_real *dw, mtf_real value, int add)
{
    *dw = add ? *dw + value : value;
}

static void give_weights(const mix_job *job)
{
    const mtf_op_call *call = job->call;
    const int64_t first = call->shape->attrs.mix_first;
    const int n = n_layers(call->shape);
    const mtf_real gamma = call->w[GAMMA]->master[0];
    mtf_real whole = 0;
    for (int i = 0; i < n; i++) {
        whole += job->p[first + i] * job->dots[i];
    }
    if (call->dw[GAMMA] != NULL) {
        put(call->dw[GAMMA], whole, call->dw_add[GAMMA]);
    }
    for (int64_t j = 0; call->dw[WEIGHT] != NULL && j < call->shape->weight_rows[WEIGHT]; j++) {
        const mtf_real own = j >= first && j < first + n ? job->dots[j - first] : 0;
        put(call->dw[WEIGHT] + j, gamma * job->p[j] * (own - whole), call->dw_add[WEIGHT]);
    }
}

static void layer_mix_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    mix_job job = {call, call->shared, call->shared + shape->weight_rows[WEIGHT]};
    shares(call, job.p);
    if (call->dw[WEIGHT] != NULL || call->dw[GAMMA] != NULL) {
        mtf_parallel_for(n_layers(shape), layer_item, &job);
        give_weights(&job);
    }
    mtf_parallel_for(mtf_pieces(call->span->n_rows[shape->in[0].space], ROWS), rows_item, &job);
}

static mtf_save layer_mix_saves(const mtf_node_shape *shape, mtf_need need)
{
    return (mtf_save){.in = need.dw != 0 ? (1U << n_layers(shape)) - 1U : 0U};
}

static mtf_cost layer_mix_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double values = (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    mtf_cost cost = {.forward = 2 * values * n_layers(shape)};
    for (int i = 0; i < n_layers(shape); i++) {
        cost.dx += (need.dx >> i & 1U) ? values : 0;
    }
    cost.dw = need.dw != 0 ? cost.forward : 0;
    return cost;
}

static size_t layer_mix_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    return backward ? 0 : (size_t)shape->weight_rows[WEIGHT];
}

static size_t layer_mix_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                               mtf_precision precision)
{
    (void)extent;
    (void)need;
    (void)precision;
    return (size_t)shape->weight_rows[WEIGHT] + (size_t)n_layers(shape);
}

const mtf_op mtf_op_layer_mix = {.name = "layer_mix",
                                 .locality = MTF_LOCAL_ROW,
                                 .check = layer_mix_check,
                                 .forward = layer_mix_forward,
                                 .backward = layer_mix_backward,
                                 .saves = layer_mix_saves,
                                 .cost = layer_mix_cost,
                                 .work = layer_mix_work,
                                 .shared = layer_mix_shared};
