/* depthwise.h: what depthwise.c and depthwise_bwd.c share; weights stand as those of a convolution.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_DEPTHWISE_H
#define MTF_OPS_DEPTHWISE_H

#include "convolution.h"

#define DEPTHWISE_MOST_KERNEL 7
#define DEPTHWISE_MOST_TAPS   (DEPTHWISE_MOST_KERNEL * DEPTHWISE_MOST_KERNEL)

/* to (taps, C) = the weight (C, taps), each column times its scale (C) where it is not NULL. */
static inline void mtf_depthwise_by_taps(mtf_real *to, const mtf_op_call *call,
                                         const mtf_real *scale)
{
    const int64_t c = call->shape->in[CONV_X].width;
    const int64_t taps = mtf_conv_taps(call->shape);
    const mtf_real *w = call->w[CONV_WEIGHT]->master;
    for (int64_t t = 0; t < taps; t++) {
        for (int64_t j = 0; j < c; j++) {
            to[t * c + j] = scale != NULL ? w[j * taps + t] * scale[j] : w[j * taps + t];
        }
    }
}

/* Rows of pixels under a window, and which taps they lie under: at most DEPTHWISE_MOST_TAPS. */
typedef struct mtf_depthwise_taps {
    int64_t n;
    int64_t row[DEPTHWISE_MOST_TAPS], tap[DEPTHWISE_MOST_TAPS];
} mtf_depthwise_taps;

/* Those of window `window` of an image (windows of the grid in order), taps in order. */
static inline void mtf_depthwise_find(mtf_depthwise_taps *found, const mtf_windows *w,
                                      const mtf_image *image, int64_t window)
{
    const int64_t top = window / image->out_width * w->stride - image->top;
    const int64_t left = window % image->out_width * w->stride - image->left;
    found->n = 0;
    for (int64_t t = 0; t < w->kernel * w->kernel; t++) {
        const int64_t y = top + t / w->kernel;
        const int64_t x = left + t % w->kernel;
        if (y >= 0 && y < image->in_height && x >= 0 && x < image->in_width) {
            found->row[found->n] = image->in_begin + y * image->in_width + x;
            found->tap[found->n++] = t;
        }
    }
}

void mtf_depthwise_backward(const mtf_op_call *call);
size_t mtf_depthwise_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                            mtf_precision precision);

#endif
