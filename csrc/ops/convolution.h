/* convolution.h: what convolution.c, depthwise.c and their backward passes share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_CONVOLUTION_H
#define MTF_OPS_CONVOLUTION_H

#include "../base/real.h"
#include "windows.h"

enum { CONV_X, CONV_RESIDUAL };
enum { CONV_WEIGHT, CONV_BIAS, CONV_NORM_WEIGHT, CONV_NORM_BIAS, CONV_MEAN, CONV_VARIANCE };

/* Weights whose gradients the sums of dy by columns make. */
#define CONV_BY_SUMS (1U << CONV_BIAS | 1U << CONV_NORM_WEIGHT | 1U << CONV_NORM_BIAS)
/* Weights whose gradients dy^T windows makes. */
#define CONV_BY_PRODUCT (1U << CONV_WEIGHT | 1U << CONV_NORM_WEIGHT)

/* Values of a buffer of gathered windows, and the fewest and most rows of it: half of a second-level
 * cache where that leaves enough rows to use a weight that was fetched. */
#define CONV_GATHERED   131072
#define CONV_LEAST_ROWS 60
#define CONV_MOST_ROWS  240

/* Rows of a piece whose rows have `width` values. */
static inline int64_t mtf_conv_rows(int64_t width)
{
    const int64_t rows = CONV_GATHERED / width;
    return rows < CONV_LEAST_ROWS ? CONV_LEAST_ROWS : rows > CONV_MOST_ROWS ? CONV_MOST_ROWS : rows;
}

static inline int64_t mtf_conv_taps(const mtf_node_shape *shape)
{
    return shape->attrs.kernel * shape->attrs.kernel;
}

/* Windows are pixels, so nothing has to be gathered. */
static inline int mtf_conv_is_product(const mtf_node_shape *shape)
{
    return shape->attrs.kernel == 1 && shape->attrs.stride == 1;
}

static inline mtf_precision mtf_conv_precision(const mtf_node_shape *shape, mtf_precision wanted)
{
    return mtf_taps_precision(shape->weight_rows[CONV_WEIGHT], shape->weight_cols[CONV_WEIGHT],
                              wanted);
}

/* 1 / sqrt(variance + eps) of column j. */
static inline mtf_real mtf_conv_rstd(const mtf_op_call *call, int64_t j)
{
    return 1 / mtf_sqrt(call->w[CONV_VARIANCE]->master[j] + call->shape->attrs.eps);
}

/* Where a part of the shared memory begins that a call does not have. */
#define CONV_NOWHERE SIZE_MAX

/* Where `size` values begin in what is shared, *end values so far; CONV_NOWHERE unless wanted. */
static inline size_t mtf_conv_place(size_t *end, int wanted, size_t size)
{
    const size_t start = *end;
    if (!wanted) {
        return CONV_NOWHERE;
    }
    *end += (size + 15) / 16 * 16;
    return start;
}

static inline mtf_real *mtf_conv_shared(const mtf_op_call *call, size_t start)
{
    return start == CONV_NOWHERE ? NULL : call->shared + start;
}

/* What of a backward call is asked for. */
static inline mtf_need mtf_conv_need(const mtf_op_call *call)
{
    mtf_need need = {.dx = (uint32_t)(call->din[CONV_X] != NULL) << CONV_X};
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        need.dw |= (uint32_t)(call->dw[i] != NULL) << i;
    }
    return need;
}

/* Value number `at` of a weight's gradient. */
static inline void mtf_conv_put(const mtf_op_call *call, int weight, int64_t at, mtf_real value)
{
    mtf_real *to = call->dw[weight] + at;
    *to = call->dw_add[weight] ? *to + value : value;
}

/* What of the output one call makes: rows first .. last - 1, columns n0 .. n1 - 1. */
typedef struct mtf_conv_region {
    int64_t first, last, n0, n1;
} mtf_conv_region;

/* Values of scale and shift (N) at the begin of the scratch of forward, whole cache lines. */
static inline int64_t mtf_conv_folded(int64_t n)
{
    return 2 * ((n + 15) / 16 * 16);
}

/* The region with products in bf16 (convolution_bf16.c). work: scale and shift, of the columns of the
 * region, and behind them mtf_convolution_bf16_work() values. */
void mtf_convolution_bf16(const mtf_op_call *call, const mtf_conv_region *r, mtf_real *work);
size_t mtf_convolution_bf16_work(const mtf_node_shape *shape);

void mtf_convolution_backward(const mtf_op_call *call);
size_t mtf_convolution_backward_work(const mtf_node_shape *shape);
size_t mtf_convolution_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                              mtf_precision precision);

#endif
