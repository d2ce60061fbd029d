/* count.c: a table that counts operations and hands on to the real one (base/flops.h).
 *
 * It stands in mtf_kernel only while counting is on, so counting costs nothing otherwise. Slots whose
 * use says what their work is for are wrapped; products are counted by blas/gemm.c, and the
 * elementary slots (add_to, dropout_row, sum_squares), which serve several passes, by their callers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

#include "../base/flops.h"

static const mtf_kernels *real; /* while counting */
static mtf_kernels counting;

static void count_bias_act_fwd(mtf_real *y, mtf_real *pre, const mtf_real *b, int64_t m, int64_t n,
                               mtf_activation act)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, m * n * ((b != NULL) + (act != MTF_ACT_NONE)));
    real->bias_act_fwd(y, pre, b, m, n, act);
}

static void count_act_bwd(mtf_real *dpre, const mtf_real *dy, const mtf_real *pre, int64_t n,
                          mtf_activation act)
{
    mtf_flops_add(MTF_FLOPS_DX, n);
    real->act_bwd(dpre, dy, pre, n, act);
}

static void count_column_sum(mtf_real *sum, const mtf_real *dy, int64_t lddy, int64_t m, int64_t n,
                             int add)
{
    mtf_flops_add(MTF_FLOPS_DW, m * n);
    real->column_sum(sum, dy, lddy, m, n, add);
}

/* Mean 1, variance 3, normalise 2, weight 1 an element; the bias 1, the residual 1. */
static void count_layernorm_fwd(mtf_real *y, mtf_real *sum, mtf_real *stats, const mtf_real *x,
                                const mtf_real *residual, const mtf_real *w, const mtf_real *b,
                                int64_t m, int64_t c, mtf_real eps)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, m * c * (7 + (b != NULL) + (residual != NULL)));
    real->layernorm_fwd(y, sum, stats, x, residual, w, b, m, c, eps);
}

/* Normalise 2, product with the weight 1, two averages 3, combine 4. */
static void count_layernorm_bwd_x(mtf_real *dsum, const mtf_real *dy, const mtf_real *extra,
                                  const mtf_real *sum, const mtf_real *stats, const mtf_real *w,
                                  int64_t m, int64_t c)
{
    mtf_flops_add(MTF_FLOPS_DX, 10 * m * c);
    real->layernorm_bwd_x(dsum, dy, extra, sum, stats, w, m, c);
}

/* Normalise 2, product and sum 2; the bias 1. */
static void count_layernorm_bwd_w(mtf_real *dw, mtf_real *db, const mtf_real *dy,
                                  const mtf_real *sum, const mtf_real *stats, int64_t m, int64_t c,
                                  int64_t c0, int64_t c1, int add)
{
    mtf_flops_add(MTF_FLOPS_DW, m * (c1 - c0) * ((dw != NULL ? 4 : 0) + (db != NULL)));
    real->layernorm_bwd_w(dw, db, dy, sum, stats, m, c, c0, c1, add);
}

/* Square and sum 2, normalise 1, offset and weight 2 an element; the residual 1. */
static void count_rmsnorm_fwd(mtf_real *y, mtf_real *sum, mtf_real *stats, const mtf_real *x,
                              const mtf_real *residual, const mtf_real *w, int64_t m, int64_t c,
                              int64_t d, mtf_real eps, mtf_real offset)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, m * c * (5 + (residual != NULL)));
    real->rmsnorm_fwd(y, sum, stats, x, residual, w, m, c, d, eps, offset);
}

/* Normalise 1, product with the weight 2, average 2, combine 3. */
static void count_rmsnorm_bwd_x(mtf_real *dsum, const mtf_real *dy, const mtf_real *extra,
                                const mtf_real *sum, const mtf_real *stats, const mtf_real *w,
                                int64_t m, int64_t c, int64_t d, mtf_real offset)
{
    mtf_flops_add(MTF_FLOPS_DX, 8 * m * c);
    real->rmsnorm_bwd_x(dsum, dy, extra, sum, stats, w, m, c, d, offset);
}

/* Normalise 1, product and sum 2. */
static void count_rmsnorm_bwd_w(mtf_real *dw, const mtf_real *dy, const mtf_real *sum,
                                const mtf_real *stats, int64_t m, int64_t c, int64_t d, int64_t d0,
                                int64_t d1, int add)
{
    mtf_flops_add(MTF_FLOPS_DW, 3 * m * (c / d) * (d1 - d0));
    real->rmsnorm_bwd_w(dw, dy, sum, stats, m, c, d, d0, d1, add);
}

static void count_gated_fwd(mtf_real *y, const mtf_real *a, int64_t lda, const mtf_real *b,
                            int64_t ldb, int64_t m, int64_t n, mtf_activation act)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, m * n * (1 + (act != MTF_ACT_NONE)));
    real->gated_fwd(y, a, lda, b, ldb, m, n, act);
}

/* da: product and slope 2; db: activation and product 2. */
static void count_gated_bwd(mtf_real *da, mtf_real *db, const mtf_real *dy, const mtf_real *a,
                            int64_t lda, const mtf_real *b, int64_t ldb, int64_t m, int64_t n,
                            mtf_activation act, int add_a, int add_b)
{
    mtf_flops_add(MTF_FLOPS_DX, 2 * m * n * ((da != NULL) + (db != NULL)));
    real->gated_bwd(da, db, dy, a, lda, b, ldb, m, n, act, add_a, add_b);
}

/* Two products; five operations a probability for the softmax. */
static void count_attention_fwd(const mtf_attention_args *a)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, mtf_attention_pairs(a) * (4 * a->d + 5));
    real->attention_fwd(a);
}

/* The scores anew, their gradients where q, k or the bias asks for them, and a product a gradient; one
 * addition a pair for the bias. Without other gradients all of it is for the bias. */
static void count_attention_bwd(const mtf_attention_args *a)
{
    const int64_t pairs = mtf_attention_pairs(a);
    const int scores_train = a->dq != NULL || a->dk != NULL || a->drelative != NULL;
    const int gradients = (a->dq != NULL) + (a->dk != NULL) + (a->dv != NULL);
    mtf_flops_add(gradients > 0 ? MTF_FLOPS_DX : MTF_FLOPS_DW,
                  pairs * (2 * (1 + scores_train + gradients) * a->d + 5));
    mtf_flops_add(MTF_FLOPS_DW, a->drelative != NULL ? pairs : 0);
    real->attention_bwd(a);
}

void mtf_kernels_count(int on)
{
    if (!on && mtf_kernel == &counting) {
        mtf_kernel = real;
    }
    if (on && mtf_kernel != &counting) {
        real = mtf_kernel;
        counting = *real;
        counting.bias_act_fwd = count_bias_act_fwd;
        counting.act_bwd = count_act_bwd;
        counting.column_sum = count_column_sum;
        counting.layernorm_fwd = count_layernorm_fwd;
        counting.layernorm_bwd_x = count_layernorm_bwd_x;
        counting.layernorm_bwd_w = count_layernorm_bwd_w;
        counting.rmsnorm_fwd = count_rmsnorm_fwd;
        counting.rmsnorm_bwd_x = count_rmsnorm_bwd_x;
        counting.rmsnorm_bwd_w = count_rmsnorm_bwd_w;
        counting.gated_fwd = count_gated_fwd;
        counting.gated_bwd = count_gated_bwd;
        counting.attention_fwd = count_attention_fwd;
        counting.attention_bwd = count_attention_bwd;
        mtf_kernel = &counting;
    }
}
