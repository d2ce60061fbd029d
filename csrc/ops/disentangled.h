/* disentangled.h: what disentangled.c and disentangled_bwd.c share: one head of one sequence, its
 * scores, and how much is computed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_DISENTANGLED_H
#define MTF_OPS_DISENTANGLED_H

#include "../base/flops.h"
#include "checks.h"
#include "span.h"

enum {
    DISENTANGLED_Q,
    DISENTANGLED_K,
    DISENTANGLED_V,
    DISENTANGLED_KP_AHEAD,
    DISENTANGLED_KP_BACK,
    DISENTANGLED_QP_AHEAD,
    DISENTANGLED_QP_BACK,
    DISENTANGLED_INPUTS
};

typedef struct disentangled_item {
    const mtf_op_call *call;
    int64_t n, d, c; /* rows, columns of the head, columns of all */
    int64_t at;      /* where the head begins in arrays of rows */
    mtf_mask mask;
    int drops;
    mtf_real *p, *t, *u; /* (n,n) each, of work; u in backward only */
    mtf_real *lse;       /* (n), n_heads apart, or NULL */
} disentangled_item;

/* work (3,n,n): of this worker; (2,n,n) forward. */
disentangled_item mtf_disentangled_begin(const mtf_op_call *call, int64_t sequence, int64_t head,
                                         mtf_real *work);
/* y (n,n) = a (n,D) b (n,D)^T, of two arrays' heads. */
void mtf_disentangled_product(const disentangled_item *x, mtf_real *y, const mtf_real *a,
                              const mtf_real *b);
/* Scores without the scale, into p; t is scratch. */
void mtf_disentangled_scores(const disentangled_item *x);
/* to (n,n) = p with what is dropped at zero; to may be p. */
void mtf_disentangled_drop(const disentangled_item *x, mtf_real *to);

/* Factor of probability (i, j); row_key: mtf_random_mix(mask.key, i). */
static inline mtf_real mtf_disentangled_kept(const disentangled_item *x, uint64_t row_key,
                                             int64_t j)
{
    return mtf_mask_keeps(row_key, (uint32_t)j, x->mask.threshold) ? x->mask.keep_scale : 0;
}

/* Products of (n,D) and (n,n) and passes over (n,n) that a head takes. */
typedef struct disentangled_amount {
    int products, passes;
} disentangled_amount;

/* Kinds of scores with distances. */
static inline int mtf_disentangled_kinds(const mtf_node_shape *shape)
{
    return mtf_has_input(shape, DISENTANGLED_KP_AHEAD) +
           mtf_has_input(shape, DISENTANGLED_QP_AHEAD);
}

static inline disentangled_amount mtf_disentangled_forward_amount(const mtf_node_shape *shape)
{
    return (disentangled_amount){2 + 2 * mtf_disentangled_kinds(shape),
                                 5 + mtf_disentangled_kinds(shape)};
}

/* For gradients `dx` (bits). */
static inline disentangled_amount mtf_disentangled_backward_amount(const mtf_node_shape *shape,
                                                                   uint32_t dx)
{
    const int kinds = mtf_disentangled_kinds(shape);
    disentangled_amount w = {1 + 2 * kinds, 5 + kinds}; /* scores and probabilities again */
    w.products += (dx & ~(1U << DISENTANGLED_V)) != 0;  /* dy v^T */
    for (int i = DISENTANGLED_Q; i < DISENTANGLED_INPUTS; i++) {
        w.products += (dx >> i & 1U) != 0;
    }
    /* gradients by way of distances come on top of the first product of dq and of dk */
    w.products += 2 * ((dx >> DISENTANGLED_Q & 1U) && mtf_has_input(shape, DISENTANGLED_KP_AHEAD));
    w.products += 2 * ((dx >> DISENTANGLED_K & 1U) && mtf_has_input(shape, DISENTANGLED_QP_AHEAD));
    return w;
}

static inline void mtf_disentangled_count(const disentangled_item *x, mtf_flops_kind kind,
                                          disentangled_amount w)
{
    mtf_flops_add(kind, x->n * x->n * (2 * x->d * w.products + w.passes));
}

void mtf_disentangled_backward(const mtf_op_call *call);

#endif
