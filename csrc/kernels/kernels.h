/* kernels.h: the table of kernels and the small types its slots take.
 *
 * csrc/kernels holds loops over plain arrays: ref/ in C, one folder an ISA level. blas/, ops/ and
 * train/ call them through the table; they know no shapes beyond their arguments, call base/ only, and
 * can neither fail nor allocate.
 *
 * table.c fills every slot with the reference kernel, then each compiled ISA level that the CPU has
 * overwrites what it implements, up to the level that was asked for. The table is set by
 * mtf_runtime_init() and changes only when counting of operations is switched on or off.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_KERNELS_H
#define MTF_KERNELS_KERNELS_H

#include "../base/work.h"

typedef enum mtf_activation {
    MTF_ACT_NONE = 0,
    MTF_ACT_GELU,     /* x/2 (1 + erf(x / sqrt 2)) */
    MTF_ACT_GELU_NEW, /* tanh form: "gelu_new", "gelu_pytorch_tanh", "gelu_fast" */
    MTF_ACT_RELU,
    MTF_ACT_TANH,
    MTF_ACT_SILU,
    MTF_ACT_QUICK_GELU, /* x / (1 + exp(-1.702 x)) */
    MTF_ACT_SIGMOID,
    MTF_ACT_RELU6 /* min(max(x, 0), 6) */
} mtf_activation;

#define MTF_N_ACTIVATIONS (MTF_ACT_RELU6 + 1)

/* In double, as torch keeps them: 1 - beta and rate / correction1 are rounded to mtf_real once. */
typedef struct mtf_adamw {
    double rate, decay, beta1, beta2, eps;
    double correction1, correction2; /* 1 - beta^t of this tensor's own step count */
    double grad_scale;               /* clipping factor */
} mtf_adamw;

/* Dropout of one attention head: probability (i, j) is kept when mtf_mask_keeps(row key of query
 * i, j). The row key of query i is mtf_random_mix(key, i). */
typedef struct mtf_mask {
    uint64_t key;
    uint32_t threshold;  /* drop when the 32-bit draw is below: rate * 2^32 */
    mtf_real keep_scale; /* 1 / (1 - rate) */
} mtf_mask;

/* Attention of one head over one sequence. Rows of q, k, v and out lie ld* apart; gradients have the
 * rows of what they are gradients of. Backward reads what forward wrote, and the probabilities are
 * computed again from lse. The last query stands at the last key, query i at place i + Lk - Lq. */
typedef struct mtf_attention_args {
    const mtf_real *q, *k, *v; /* (Lq,D) (Lk,D) (Lk,D) */
    int64_t ldq, ldk, ldv;
    mtf_real *out; /* (Lq,D) */
    int64_t ldo;
    mtf_real *lse; /* (Lq), ld_lse apart: log of the sum of exponentials; forward NULL: not kept */
    int64_t ld_lse;
    const mtf_real
        *relative; /* (Lq+Lk-1) or NULL: number i - j + Lk - 1 is added to the score of query
                                 i and key j */
    int64_t lq, lk, d;
    int64_t left, right; /* a query sees the keys from its place - left to its place + right; -1: no
                             limit on that side. Others are not read */
    mtf_real scale;      /* of the products q k^T, > 0 */
    const mtf_mask *drop; /* NULL: nothing is dropped */
    mtf_real *work;       /* (mtf_attention_work(D)) */
    /* backward only */
    const mtf_real *dout; /* (Lq,D) */
    mtf_real *dq, *dk,
        *dv; /* as q, k, v; each may be NULL. Without dq, dk and drelative neither out
                                nor v is read, they may be NULL */
    int add_q, add_k, add_v; /* add to the gradient instead of writing it */
    mtf_real *drelative;     /* (Lq+Lk-1) or NULL: the gradient of relative is added */
} mtf_attention_args;

/* 1: there are pairs of a query and a key that are not seen. */
static inline int mtf_attention_limited(const mtf_attention_args *a)
{
    return (a->left >= 0 && a->left < a->lk - 1) || (a->right >= 0 && a->right < a->lq - 1);
}

/* Query i sees keys first .. end-1; none where end <= first. */
static inline int64_t mtf_attention_first_key(const mtf_attention_args *a, int64_t i)
{
    const int64_t first = i + a->lk - a->lq - a->left;
    return a->left < 0 || first < 0 ? 0 : first;
}

static inline int64_t mtf_attention_end_key(const mtf_attention_args *a, int64_t i)
{
    const int64_t end = i + a->lk - a->lq + a->right + 1;
    return a->right < 0 || end > a->lk ? a->lk : end;
}

/* Pairs of a query and a key that it sees. */
static inline int64_t mtf_attention_pairs(const mtf_attention_args *a)
{
    int64_t n = 0;
    if (!mtf_attention_limited(a)) {
        return a->lq * a->lk;
    }
    for (int64_t i = 0; i < a->lq; i++) {
        const int64_t seen = mtf_attention_end_key(a, i) - mtf_attention_first_key(a, i);
        n += seen > 0 ? seen : 0;
    }
    return n;
}

/* Queries after which an attention kernel looks whether to stop: of 8,192 keys some 10 ms. */
#define MTF_ATTENTION_QUERIES 128

/* 1: give up before query i. Shorter sequences are not asked about. */
static inline int mtf_attention_stops(int64_t i)
{
    return i > 0 && i % MTF_ATTENTION_QUERIES == 0 && mtf_stopping();
}

/* Output columns of one panel of packed weights. */
#define MTF_PANEL 32

/* Terms of one chain of additions in a packed product in float: longer sums are sums of chains, which
 * loses less to rounding. */
#define MTF_CHAIN 256

/* What a packed product does with its sums while they are in registers. */
typedef struct mtf_epilogue {
    const mtf_real *bias; /* (N) or NULL */
    mtf_real *pre;        /* (M,N), rows ldy apart, or NULL: receives product + bias */
    mtf_activation activation;
    int add; /* the product is added to what y holds; then no bias, pre or activation */
} mtf_epilogue;

/* A product with bf16 panels and what follows it: y = act((x w) * scale + shift + residual), rounded to
 * bf16 wherever it lies, so that its bits are the same in both. Of x, residual and y one pointer each:
 * the other is NULL, of the residual both may be. */
typedef struct mtf_affine_product {
    int64_t m, n, k;
    const mtf_real *x;      /* (M,K), rows xi apart, or */
    const uint16_t *x_half; /* in bf16: n_runs runs of K / n_runs values, run_step apart; one run is
                               filled up with zeros to whole MTF_HALVES, others are whole ones */
    int64_t xi, n_runs, run_step;
    const uint16_t *panels;
    const mtf_real *scale, *shift; /* (N) or NULL */
    const mtf_real *residual;      /* (M,N), rows ldr apart, or */
    const uint16_t *residual_half; /* in bf16 */
    int64_t ldr;
    mtf_activation activation;
    mtf_real *y;      /* (M,N), rows ldy apart, or */
    uint16_t *y_half; /* in bf16 */
    int64_t ldy;
} mtf_affine_product;

/* Values in bf16 of one cache line. */
#define MTF_HALVES 32

/* int8 products: columns of weights that stay below count as zeros, rows of x whose half range stays
 * below as constant, so that 127 / maxabs and 255 / half are finite and their inverses keep their
 * digits. */
#define MTF_INT8_LEAST 0x1p-119F
/* The most terms whose sum is surely within int32: 2^31 / (255 * 127). Longer sums are made in fp32. */
#define MTF_INT8_MOST_TERMS 66311

typedef struct mtf_kernels {
    const char *isa;
    const char *product_isa[MTF_N_PRECISIONS]; /* levels whose packed products stand in it */
    /* work: mtf_packed_work(K) values. NULL: the level has none of its own, see blas/affine.h. */
    void (*affine_product)(const mtf_affine_product *p, mtf_real *work);
#define MTF_KERNEL(result, name, args) result(*name) args;
#include "kernels.def"
#undef MTF_KERNEL
} mtf_kernels;

/* The table in use; the reference one before mtf_runtime_init(). Set between runs only. */
extern const mtf_kernels *mtf_kernel;

/* mtf_real elements of `work` for attention kernels of head width d, whatever the lengths: the same
 * for every ISA level. */
size_t mtf_attention_work(int64_t d);

/* mtf_real elements of `work` of a packed product of k terms: the same for every ISA level. */
size_t mtf_packed_work(int64_t k);

/* Fills `table` with the levels up to and including `isa`; 0 if no such level in this build and
 * CPU. Tests use it to hold two levels side by side. */
int mtf_kernels_fill(mtf_kernels *table, const char *isa);

/* Puts a table that counts operations before the one in use, or takes it away. (count.c) */
void mtf_kernels_count(int on);

/* Keys of a tile: attention kernels hold the scores of so many at once, for up to 16 queries. */
#define MTF_ATTENTION_KEYS 128

/* For mtf_runtime_init: makes `isa` (NULL: the best of this CPU) the table in use; and the names
 * of levels, from low to high with spaces between, of the build or of build and CPU. */
#define MTF_KERNELS_LIST 64
MTF_NODISCARD mtf_status mtf_kernels_choose(const char *isa, mtf_error *err);
void mtf_kernels_list(char *list, size_t size, int available_only);

#endif
