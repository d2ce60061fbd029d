/* Convolution of each column by itself, with a batch norm by stored statistics (or none, s = 1 and t =
 * 0) and an activation: facts
 * and forward (depthwise_bwd.c: backward).
 *
 *   z[w, c] = sum over the taps t of window w of x[pixel of t, c] W[c, t]
 *   y = act(s z + t)        s = norm weight / sqrt(variance + eps), t = norm bias - mean s
 *
 * Norm, activation and what is saved are those of convolution.c. What a window has outside of the grid
 * is left out of its sum; operations are counted as if no window left it.
 * Cut: forward on many workers by rows. Bits: a row of y depends on its window alone.
 * Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 32 };

static mtf_status depthwise_check(mtf_node_shape *shape, mtf_error *err)
{
    static const char *const names[] = {"weight",    "bias", "norm weight",
                                        "norm bias", "mean", "variance"};
    MTF_TRY(mtf_check_input(shape, "depthwise", CONV_X, "x", 0, err));
    MTF_TRY(mtf_windows_check(shape, "depthwise", err));
    const int64_t c = shape->in[CONV_X].width;
    if (shape->attrs.kernel > DEPTHWISE_MOST_KERNEL) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: depthwise expects windows of at most %d rows, found kernel %lld; give "
                        "less",
                        shape->label, (int)DEPTHWISE_MOST_KERNEL, (long long)shape->attrs.kernel);
    }
    MTF_TRY(mtf_check_weight(shape, "depthwise", CONV_WEIGHT, names[CONV_WEIGHT], c,
                             mtf_conv_taps(shape), err));
    const int normed = mtf_has_weight(shape, CONV_NORM_WEIGHT);
    for (int i = CONV_NORM_WEIGHT; i <= CONV_VARIANCE; i++) {
        if (normed || mtf_has_weight(shape, i)) {
            MTF_TRY(mtf_check_weight(shape, "depthwise", i, names[i], c, 1, err));
        }
    }
    if (!normed && mtf_has_weight(shape, CONV_VARIANCE)) {
        return mtf_check_weight(shape, "depthwise", CONV_NORM_WEIGHT, names[CONV_NORM_WEIGHT], c, 1,
                                err);
    }
    if (normed) {
        MTF_TRY(mtf_check_eps(shape, "depthwise", err));
    }
    MTF_TRY(mtf_check_clip(shape, "depthwise", err));
    mtf_set_output(shape, shape->attrs.grid_space, c);
    return MTF_OK;
}

static int64_t padded(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* work: the weight by taps, scale, shift. */
static size_t depthwise_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    const int64_t c = shape->in[CONV_X].width;
    (void)extent;
    return backward ? 0 : (size_t)(padded(mtf_conv_taps(shape) * c) + 2 * padded(c));
}

static void forward_rows(const mtf_op_call *call, int64_t first, int64_t last, mtf_real *work)
{
    const mtf_windows w = mtf_windows_of(call);
    const int64_t c = w.width;
    mtf_real *by_taps = work;
    mtf_real *scale = by_taps + padded(mtf_conv_taps(call->shape) * c);
    mtf_real *shift = scale + padded(c);
    const mtf_real *x[DEPTHWISE_MOST_TAPS];
    const mtf_real *weights[DEPTHWISE_MOST_TAPS];
    mtf_depthwise_taps taps;
    int64_t sequence = mtf_span_find(w.span, w.out_space, first);
    mtf_image image = mtf_windows_image(&w, sequence);
    mtf_depthwise_by_taps(by_taps, call, NULL);
    const int normed = call->w[CONV_NORM_WEIGHT] != NULL;
    const int affine = normed || call->shape->attrs.activation != MTF_ACT_NONE;
    for (int64_t j = 0; normed && j < c; j++) {
        scale[j] = call->w[CONV_NORM_WEIGHT]->master[j] * mtf_conv_rstd(call, j);
        shift[j] = call->w[CONV_NORM_BIAS]->master[j] - call->w[CONV_MEAN]->master[j] * scale[j];
    }
    for (int64_t row = first; row < last; row++) {
        while (row >= mtf_span_start(w.span, w.out_space, sequence + 1)) {
            image = mtf_windows_image(&w, ++sequence);
        }
        mtf_depthwise_find(&taps, &w, &image, row - image.out_begin);
        for (int64_t i = 0; i < taps.n; i++) {
            x[i] = call->in[CONV_X] + taps.row[i] * c;
            weights[i] = by_taps + taps.tap[i] * c;
        }
        mtf_kernel->taps_sum(call->out[0] + row * c, x, weights, taps.n, c, 0);
        if (affine && ((row + 1 - first) % ROWS == 0 || row + 1 == last)) {
            const int64_t begin = first + (row - first) / ROWS * ROWS;
            mtf_kernel->column_affine(call->out[0] + begin * c, c, normed ? scale : NULL,
                                      normed ? shift : NULL, NULL, 0, row + 1 - begin, c,
                                      call->shape->attrs.activation);
        }
    }
}

static void forward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t rows = call->span->n_rows[call->shape->attrs.grid_space];
    forward_rows(call, item * 2 * ROWS, mtf_piece_end(rows, 2 * ROWS, item),
                 call->work + (size_t)worker * call->work_stride);
}

static mtf_cost depthwise_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->attrs.grid_space] * (double)shape->in[CONV_X].width;
    const double product = 2 * elements * (double)mtf_conv_taps(shape);
    const int clips = shape->attrs.activation != MTF_ACT_NONE;
    const int normed = mtf_has_weight(shape, CONV_NORM_WEIGHT);
    mtf_cost cost = {.forward = product + elements * (2 * normed + clips)};
    if ((need.dx | need.dw) != 0) {
        cost.dx = (clips ? elements : 0) + (need.dx >> CONV_X & 1U ? product : 0);
        cost.dw =
            (need.dw & CONV_BY_PRODUCT ? product : 0) + (need.dw & CONV_BY_SUMS ? elements : 0);
    }
    return cost;
}

static void depthwise_forward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->attrs.grid_space];
    mtf_extent extent = {0};
    extent.n_rows[call->shape->attrs.grid_space] = rows;
    const double operations = depthwise_cost(call->shape, &extent, (mtf_need){0}).forward;
    mtf_flops_add(MTF_FLOPS_FORWARD, (int64_t)operations);
    if (call->work_stride > 0) {
        mtf_parallel_work(mtf_pieces(rows, 2 * ROWS), (int64_t)operations, forward_item, &call);
    } else if (rows > 0) {
        forward_rows(call, 0, rows, call->work);
    }
}

static mtf_save depthwise_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    save.in = need.dw & CONV_BY_PRODUCT ? 1U << CONV_X : 0U;
    save.out = (need.dx | need.dw) != 0 && shape->attrs.activation != MTF_ACT_NONE ? 1U : 0U;
    return save;
}

const mtf_op mtf_op_depthwise = {.name = "depthwise",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = depthwise_check,
                                 .forward = depthwise_forward,
                                 .backward = mtf_depthwise_backward,
                                 .saves = depthwise_saves,
                                 .cost = depthwise_cost,
                                 .work = depthwise_work,
                                 .shared = mtf_depthwise_shared,
                                 .grids = 1U << CONV_X};
