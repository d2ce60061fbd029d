/* Attention of one head over one sequence, backward; formulas as in ref/attention.c.
 *
 * Four queries at a time, as in attention.c: probabilities from the saved lse, their gradients, dq
 * as a weighted sum of rows of k; dk and dv get the block's rows added, queries in order, so their
 * order of summation does not depend on the blocks.
 * Precision: fused multiply-adds, vector exp. SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "../../base/random.h"
#include "avx2.h"
#include "dropout.h"
#include "elementary.h"

AVX2_COMPILED(attention_bwd)

static void zero_rows(float *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t c = 0; c < d; c += 8) {
            store_lanes(x + j * ldx + c, d - c, _mm256_setzero_ps());
        }
    }
}

static float dot(const float *a, const float *b, int64_t d)
{
    __m256 acc = _mm256_setzero_ps();
    for (int64_t c = 0; c < d; c += 8) {
        acc = _mm256_fmadd_ps(load_lanes(a + c, d - c), load_lanes(b + c, d - c), acc);
    }
    return sum_lanes(acc);
}

/* In: p holds scores (scaled, biased), dp the products dout.v, or NULL: not needed. Out: p = dropped
 * probabilities, dp = gradient at scale * (q.k), both zero past n in the last register. */
static void gradients_of_row(float *p, float *dp, int64_t n, float lse, float delta, float scale,
                             const mtf_mask *drop, int64_t query)
{
    const uint64_t row_key = drop != NULL ? mtf_random_mix(drop->key, (uint64_t)query) : 0;
    const __m256 keep_scale = F32X8(drop != NULL ? drop->keep_scale : 1.0F);
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 lanes = _mm256_castsi256_ps(first_lanes(n - j));
        __m256 keep = keep_scale;
        if (drop != NULL) {
            keep = _mm256_and_ps(keep, keeps_f32x8(row_key, (uint32_t)j, drop->threshold));
        }
        __m256 e = exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(p + j), F32X8(lse)));
        e = _mm256_and_ps(e, lanes);
        if (dp != NULL) {
            const __m256 inner = _mm256_fmsub_ps(_mm256_loadu_ps(dp + j), keep, F32X8(delta));
            const __m256 ds = _mm256_mul_ps(_mm256_mul_ps(F32X8(scale), e), inner);
            _mm256_storeu_ps(dp + j, _mm256_and_ps(ds, lanes));
        }
        _mm256_storeu_ps(p + j, _mm256_mul_ps(e, keep));
    }
}

/* y[j] (D) += p[j] * x for first <= j < n. */
static void add_row(float *y, int64_t ldy, const float *p, const float *x, int64_t first, int64_t n,
                    int64_t d)
{
    for (int64_t j = first; j < n; j++) {
        for (int64_t c = 0; c < d; c += 8) {
            float *out = y + j * ldy + c;
            const __m256 x_lanes = load_lanes(x + c, d - c);
            const __m256 acc =
                _mm256_fmadd_ps(_mm256_broadcast_ss(p + j), x_lanes, load_lanes(out, d - c));
            store_lanes(out, d - c, acc);
        }
    }
}

/* The same for the four rows of a block at once, D a multiple of 8: they stay in registers. */
static void add_rows(float *y, int64_t ldy, const float *p, int64_t ldp, const float *const x[ROWS],
                     int64_t n, int64_t d)
{
    for (int64_t c = 0; c < d; c += 8) {
        const __m256 x0 = _mm256_loadu_ps(x[0] + c);
        const __m256 x1 = _mm256_loadu_ps(x[1] + c);
        const __m256 x2 = _mm256_loadu_ps(x[2] + c);
        const __m256 x3 = _mm256_loadu_ps(x[3] + c);
        for (int64_t j = 0; j < n; j++) {
            float *out = y + j * ldy + c;
            __m256 acc = _mm256_loadu_ps(out);
            acc = _mm256_fmadd_ps(_mm256_broadcast_ss(p + j), x0, acc);
            acc = _mm256_fmadd_ps(_mm256_broadcast_ss(p + ldp + j), x1, acc);
            acc = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 2 * ldp + j), x2, acc);
            acc = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 3 * ldp + j), x3, acc);
            _mm256_storeu_ps(out, acc);
        }
    }
}

/* Adds a block to dk or dv: keys that all its rows see together, then row by row. */
static void add_block(float *y, int64_t ldy, const float *p, int64_t ldp, int n_rows,
                      const float *const x[ROWS], const int64_t n[ROWS], int64_t d)
{
    int64_t done = 0;
    if (n_rows == ROWS && d % 8 == 0) {
        add_rows(y, ldy, p, ldp, x, n[0], d);
        done = n[0];
    }
    for (int r = 0; r < n_rows; r++) {
        add_row(y, ldy, p + r * ldp, x[r], done, n[r], d);
    }
}

void mtf_attention_bwd_f32_avx2(float *dq, int64_t lddq, int add_q, float *dk, int64_t lddk,
                                int add_k, float *dv, int64_t lddv, int add_v, const float *dout,
                                int64_t lddo, const float *o, int64_t ldo, const float *lse,
                                int64_t ld_lse, const float *q, int64_t ldq, const float *k,
                                int64_t ldk, const float *v, int64_t ldv, const float *bias,
                                int64_t lq, int64_t lk, int64_t d, int causal, float scale,
                                const mtf_mask *drop, float *work)
{
    static const float ones[ROWS] = {1, 1, 1, 1};
    const int64_t ldt = padded_keys(lk);
    float *kt = work;           /* (D, ldt) */
    float *vt = kt + d * ldt;   /* (D, ldt) */
    float *p = vt + d * ldt;    /* (ROWS, ldt) */
    float *dp = p + ROWS * ldt; /* (ROWS, ldt) */
    const int scores_train = dq != NULL || dk != NULL;
    transpose_keys(kt, ldt, k, ldk, lk, d);
    if (scores_train) {
        transpose_keys(vt, ldt, v, ldv, lk, d);
    }
    if (dk != NULL && !add_k) {
        zero_rows(dk, lddk, lk, d);
    }
    if (dv != NULL && !add_v) {
        zero_rows(dv, lddv, lk, d);
    }
    for (int64_t i = 0; i < lq; i += ROWS) {
        const int n_rows = lq - i < ROWS ? (int)(lq - i) : ROWS;
        int64_t n[ROWS];
        const float *q_rows[ROWS];
        const float *g_rows[ROWS];
        for (int r = 0; r < ROWS; r++) {
            const int64_t query = i + (r < n_rows ? r : n_rows - 1);
            q_rows[r] = q + query * ldq;
            g_rows[r] = dout + query * lddo;
            n[r] = visible_keys(query, lq, lk, causal);
        }
        dot_rows(p, ldt, q_rows, kt, n[ROWS - 1], d);
        if (scores_train) {
            dot_rows(dp, ldt, g_rows, vt, n[ROWS - 1], d);
        }
        for (int r = 0; r < n_rows; r++) {
            const int64_t query = i + r;
            scale_row(p + r * ldt, bias != NULL ? bias + query * lk : NULL, n[r], scale);
            const float delta = scores_train ? dot(g_rows[r], o + query * ldo, d) : 0;
            gradients_of_row(p + r * ldt, scores_train ? dp + r * ldt : NULL, n[r],
                             lse[query * ld_lse], delta, scale, drop, query);
        }
        if (dv != NULL) {
            add_block(dv, lddv, p, ldt, n_rows, g_rows, n, d);
        }
        if (dk != NULL) {
            add_block(dk, lddk, dp, ldt, n_rows, q_rows, n, d);
        }
        if (dq != NULL) {
            weighted_sum(dq + i * lddq, lddq, dp, ldt, n, n_rows, k, ldk, d, ones, add_q);
        }
    }
}
