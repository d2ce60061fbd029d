/* linear.h: what linear.c and linear_bwd.c share: one node holds one to three layers that read the
 * same rows (query, key and value of attention).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_LINEAR_H
#define MTF_OPS_LINEAR_H

#include "ops.h"

enum { LINEAR_X };

#define LINEAR_PARTS MTF_MAX_OUT

static inline int linear_weight(int part)
{
    return 2 * part;
}

static inline int linear_bias(int part)
{
    return 2 * part + 1;
}

static inline int linear_n_parts(const mtf_node_shape *shape)
{
    int n = 1;
    while (n < LINEAR_PARTS && shape->out[n].width > 0) {
        n++;
    }
    return n;
}

void mtf_linear_backward(const mtf_op_call *call);
size_t mtf_linear_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                         mtf_precision precision);

#endif
