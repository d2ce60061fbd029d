/* flops.h: floating-point operations, counted where they are done while counting is on.
 *
 * Products count at their entry points (blas/gemm.c), kernels in a table that wraps the real one
 * (kernels/count.c), loops of operations and calls of elementary kernels beside themselves. What is
 * counted is arithmetic by its mathematical size: a multiplication and an addition are two, an
 * activation is one an element; padding, conversions and adding to what a gradient already holds are
 * none, nor are losses, norms and updates. Any thread may count.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_FLOPS_H
#define MTF_BASE_FLOPS_H

#include <stdatomic.h>

#include "../include/mtfreeze.h"

typedef enum mtf_flops_kind {
    MTF_FLOPS_FORWARD,
    MTF_FLOPS_DX, /* gradients of activations */
    MTF_FLOPS_DW, /* gradients of weights */
    MTF_FLOPS_KINDS
} mtf_flops_kind;

extern atomic_int mtf_flops_on;
extern atomic_uint_fast64_t mtf_flops_counted[MTF_FLOPS_KINDS];

static inline void mtf_flops_add(mtf_flops_kind kind, int64_t n)
{
    if (atomic_load_explicit(&mtf_flops_on, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&mtf_flops_counted[kind], (uint_fast64_t)n, memory_order_relaxed);
    }
}

#endif
