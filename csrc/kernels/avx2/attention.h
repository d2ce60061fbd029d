/* attention.h: what attention forward and backward share: blocks of ROWS queries, scores against
 * transposed keys, weighted sums of rows. For files of this folder only.
 *
 * Rows of scores have room for whole registers (padded_keys); lanes past the visible keys hold
 * finite rubbish until the caller clears them, and weighted sums never read them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_ATTENTION_H
#define MTF_KERNELS_AVX2_ATTENTION_H

#include "avx2.h"

#define ROWS 4

static inline int64_t padded_keys(int64_t lk)
{
    return (lk + 15) / 16 * 16;
}

static inline int64_t visible_keys(int64_t i, int64_t lq, int64_t lk, int causal)
{
    const int64_t n = causal ? i + lk - lq + 1 : lk;
    return n < 0 ? 0 : n;
}

/* t (D,ldt) = x (rows,D)^T, padded with zeros. */
static inline void transpose_keys(float *t, int64_t ldt, const float *x, int64_t ldx, int64_t rows,
                                  int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        for (int64_t j = 0; j < rows; j++) {
            t[c * ldt + j] = x[j * ldx + c];
        }
        for (int64_t j = rows; j < ldt; j++) {
            t[c * ldt + j] = 0;
        }
    }
}

/* s (ROWS,lds) = x (ROWS rows of D) . t (D,lds), columns below n, in whole blocks of 16. */
static inline void dot_rows(float *s, int64_t lds, const float *const x[ROWS], const float *t,
                            int64_t n, int64_t d)
{
    for (int64_t j = 0; j < n; j += 16) {
        __m256 acc[ROWS][2];
        for (int r = 0; r < ROWS; r++) {
            acc[r][0] = _mm256_setzero_ps();
            acc[r][1] = _mm256_setzero_ps();
        }
        for (int64_t c = 0; c < d; c++) {
            const __m256 t0 = _mm256_loadu_ps(t + c * lds + j);
            const __m256 t1 = _mm256_loadu_ps(t + c * lds + j + 8);
            for (int r = 0; r < ROWS; r++) {
                const __m256 xc = _mm256_broadcast_ss(x[r] + c);
                acc[r][0] = _mm256_fmadd_ps(xc, t0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(xc, t1, acc[r][1]);
            }
        }
        for (int r = 0; r < ROWS; r++) {
            _mm256_storeu_ps(s + r * lds + j, acc[r][0]);
            _mm256_storeu_ps(s + r * lds + j + 8, acc[r][1]);
        }
    }
}

/* row (n) = scale * row + bias (n, or NULL), in whole registers; bias is not read past its end. */
static inline void scale_row(float *row, const float *bias, int64_t n, float scale)
{
    const __m256 factor = _mm256_set1_ps(scale);
    for (int64_t j = 0; j < n; j += 8) {
        __m256 s = _mm256_mul_ps(_mm256_loadu_ps(row + j), factor);
        if (bias != NULL) {
            s = _mm256_add_ps(s, load_lanes(bias + j, n - j));
        }
        _mm256_storeu_ps(row + j, s);
    }
}

/* Sum over first <= j < n of p[j] * v[j][0..lanes-1] on top of acc: p (n), v (n,ldv). */
static inline __m256 continue_sum(__m256 acc, const float *p, int64_t first, int64_t n,
                                  const float *v, int64_t ldv, int64_t lanes)
{
    for (int64_t j = first; j < n; j++) {
        acc = _mm256_fmadd_ps(_mm256_broadcast_ss(p + j), load_lanes(v + j * ldv, lanes), acc);
    }
    return acc;
}

/* out[r][h] = sum over j < n of p[r][j] * v[j][0..15]: p (ROWS,ldp), v (n,ldv). The sums are local,
 * so that compilers keep them in registers. */
static inline void common_sums(__m256 out[ROWS][2], const float *p, int64_t ldp, int64_t n,
                               const float *v, int64_t ldv)
{
    __m256 acc[ROWS][2];
    for (int r = 0; r < ROWS; r++) {
        acc[r][0] = _mm256_setzero_ps();
        acc[r][1] = _mm256_setzero_ps();
    }
    for (int64_t j = 0; j < n; j++) {
        const __m256 v0 = _mm256_loadu_ps(v + j * ldv);
        const __m256 v1 = _mm256_loadu_ps(v + j * ldv + 8);
        for (int r = 0; r < ROWS; r++) {
            const __m256 pr = _mm256_broadcast_ss(p + r * ldp + j);
            acc[r][0] = _mm256_fmadd_ps(pr, v0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(pr, v1, acc[r][1]);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        out[r][0] = acc[r][0];
        out[r][1] = acc[r][1];
    }
}

/* y[r] (D) = factor[r] * sum over j < n[r] of p[r][j] * v[j], or += with add; n[] never falls.
 * Rows of the block go together over the keys that all see, then each goes on alone. */
static inline void weighted_sum(float *y, int64_t ldy, const float *p, int64_t ldp,
                                const int64_t n[ROWS], int n_rows, const float *v, int64_t ldv,
                                int64_t d, const float factor[ROWS], int add)
{
    for (int64_t c = 0; c < d; c += 16) {
        const int64_t left = d - c;
        const int64_t common = left >= 16 ? n[0] : 0; /* v has 16 lanes to read */
        __m256 sums[ROWS][2];
        common_sums(sums, p, ldp, common, v + c, ldv);
        for (int r = 0; r < n_rows; r++) {
            for (int h = 0; h < 2 && left > 8 * h; h++) {
                float *out = y + r * ldy + c + 8 * h;
                __m256 sum = continue_sum(sums[r][h], p + r * ldp, common, n[r], v + c + 8 * h, ldv,
                                          left - 8 * h);
                sum = _mm256_mul_ps(sum, _mm256_set1_ps(factor[r]));
                sum = add ? _mm256_add_ps(load_lanes(out, left - 8 * h), sum) : sum;
                store_lanes(out, left - 8 * h, sum);
            }
        }
    }
}

#endif
