/* Means of parts of each grid, as many parts whatever its size: one row a sequence.
 *
 *   part i of n along a side s: rows floor(i s / n) .. ceil((i + 1) s / n) - 1
 *   y[c n n + i n + j] = mean of x[., c] over part i down and part j across
 *   dx[pixel, c] = sum of dy[c n n + i n + j] / pixels of (i, j), over the parts that hold the pixel
 *
 * As AdaptiveAvgPool2d of PyTorch, flattened: parts overlap where n does not divide s, and repeat where
 * s < n. A column's parts lie side by side, so a layer above reads what torchvision's does.
 * Saved: nothing. Cut: by sequences, backward on all workers. FLOPs are counted as if each pixel lay in
 * one part, since no price knows the sides. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { MOST_BINS = 64 };

static mtf_status adaptive_mean_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t bins = shape->attrs.bins;
    MTF_TRY(mtf_check_input(shape, "adaptive_mean", 0, "x", 0, err));
    if (bins < 1 || bins > MOST_BINS) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: adaptive_mean expects 1 .. %d parts a side, found %lld; give others",
                        shape->label, (int)MOST_BINS, (long long)bins);
    }
    mtf_set_output(shape, MTF_SPACE_SEQUENCES, shape->in[0].width * bins * bins);
    return MTF_OK;
}

/* Rows first .. last - 1 of a side. */
typedef struct part {
    int64_t first, last;
} part;

static part part_of(int64_t side, int64_t bins, int64_t i)
{
    return (part){i * side / bins, ((i + 1) * side + bins - 1) / bins};
}

/* One part of the grid of one sequence. */
typedef struct bin {
    int64_t begin, width; /* the sequence's first row, its columns */
    part down, across;
} bin;

static bin bin_of(const mtf_op_call *call, int64_t sequence, int64_t place)
{
    const int32_t space = call->shape->in[0].space;
    const int64_t bins = call->shape->attrs.bins;
    const int64_t height = mtf_span_height(call->span, space, sequence);
    const int64_t width = mtf_span_width(call->span, space, sequence);
    return (bin){mtf_span_start(call->span, space, sequence), width,
                 part_of(height, bins, place / bins), part_of(width, bins, place % bins)};
}

static mtf_real bin_size(const bin *b)
{
    return (mtf_real)((b->down.last - b->down.first) * (b->across.last - b->across.first));
}

static int64_t sequence_operations(const mtf_op_call *call, int64_t sequence)
{
    const mtf_slot *x = &call->shape->in[0];
    return x->width * (mtf_span_start(call->span, x->space, sequence + 1) -
                       mtf_span_start(call->span, x->space, sequence));
}

/* y (C parts) of a sequence; `sum` (C) is scratch. */
static void forward_sequence(const mtf_op_call *call, int64_t sequence, mtf_real *sum)
{
    const int64_t c = call->shape->in[0].width;
    const int64_t places = call->shape->attrs.bins * call->shape->attrs.bins;
    mtf_real *y = call->out[0] + sequence * c * places;
    for (int64_t place = 0; place < places; place++) {
        const bin b = bin_of(call, sequence, place);
        const mtf_real n = bin_size(&b);
        memset(sum, 0, (size_t)c * sizeof *sum);
        for (int64_t down = b.down.first; down < b.down.last; down++) {
            for (int64_t across = b.across.first; across < b.across.last; across++) {
                mtf_kernel->add_to(sum, call->in[0] + (b.begin + down * b.width + across) * c, c);
            }
        }
        for (int64_t j = 0; j < c; j++) {
            y[j * places + place] = sum[j] / n;
        }
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, sequence_operations(call, sequence));
}

static void forward_item(void *context, int64_t sequence, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    forward_sequence(call, sequence, call->work + (size_t)worker * call->work_stride);
}

static void adaptive_mean_forward(const mtf_op_call *call)
{
    if (call->work_stride > 0) {
        mtf_parallel_for(call->span->n_sequences, forward_item, &call);
        return;
    }
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        forward_sequence(call, s, call->work);
    }
}

static void backward_item(void *context, int64_t sequence, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_slot *x = &call->shape->in[0];
    const int64_t c = x->width;
    const int64_t places = call->shape->attrs.bins * call->shape->attrs.bins;
    const mtf_real *dy = call->dout[0] + sequence * c * places;
    (void)worker;
    if (!call->din_add[0]) {
        const int64_t begin = mtf_span_start(call->span, x->space, sequence);
        const int64_t end = mtf_span_start(call->span, x->space, sequence + 1);
        memset(call->din[0] + begin * c, 0, (size_t)((end - begin) * c) * sizeof(mtf_real));
    }
    for (int64_t place = 0; place < places; place++) {
        const bin b = bin_of(call, sequence, place);
        const mtf_real n = bin_size(&b);
        for (int64_t down = b.down.first; down < b.down.last; down++) {
            for (int64_t across = b.across.first; across < b.across.last; across++) {
                mtf_real *dx = call->din[0] + (b.begin + down * b.width + across) * c;
                for (int64_t j = 0; j < c; j++) {
                    dx[j] += dy[j * places + place] / n;
                }
            }
        }
    }
    mtf_flops_add(MTF_FLOPS_DX, sequence_operations(call, sequence));
}

static void adaptive_mean_backward(const mtf_op_call *call)
{
    if (call->din[0] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &call);
    }
}

static mtf_cost adaptive_mean_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                   mtf_need need)
{
    const double n = (double)shape->in[0].width * (double)extent->n_rows[shape->in[0].space];
    return (mtf_cost){.forward = n, .dx = need.dx != 0 ? n : 0};
}

static size_t adaptive_mean_work(const mtf_node_shape *shape, const mtf_extent *extent,
                                 int backward)
{
    (void)extent;
    return backward ? 0 : (size_t)((shape->in[0].width + 15) / 16 * 16);
}

const mtf_op mtf_op_adaptive_mean = {.name = "adaptive_mean",
                                     .locality = MTF_LOCAL_SEQUENCE,
                                     .check = adaptive_mean_check,
                                     .forward = adaptive_mean_forward,
                                     .backward = adaptive_mean_backward,
                                     .saves = mtf_saves_nothing,
                                     .cost = adaptive_mean_cost,
                                     .work = adaptive_mean_work,
                                     .grids = 1U};
