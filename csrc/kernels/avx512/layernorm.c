/* Layer normalisation, sixteen lanes at a time; formulas as in ref/layernorm.c.
 *
 * Precision: sums over a row in 32 lanes, variance in two passes, fused multiply-adds, true square
 * root. dw and db add rows in order. A row's bits depend on C alone, never on M.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"

#include <math.h>

AVX512_COMPILED(layernorm)

/* held (C) = x + residual (C), or x without one; returns the sum over it. held may be x. */
static inline float take_row(float *held, const float *x, const float *residual, int64_t c)
{
    const int moves = residual != NULL || held != x;
    __m512 acc[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    int64_t j = 0;
    for (; j + 32 <= c; j += 32) {
        for (int h = 0; h < 2; h++) {
            const int64_t at = j + 16 * h;
            __m512 v = _mm512_loadu_ps(x + at);
            v = residual != NULL ? _mm512_add_ps(v, _mm512_loadu_ps(residual + at)) : v;
            if (moves) {
                _mm512_storeu_ps(held + at, v);
            }
            acc[h] = _mm512_add_ps(acc[h], v);
        }
    }
    for (; j < c; j += 16) {
        __m512 v = load_lanes(x + j, c - j);
        v = residual != NULL ? _mm512_add_ps(v, load_lanes(residual + j, c - j)) : v;
        if (moves) {
            store_lanes(held + j, c - j, v);
        }
        acc[0] = _mm512_add_ps(acc[0], v);
    }
    return sum_lanes(_mm512_add_ps(acc[0], acc[1]));
}

static inline float row_sum_squares(const float *x, float mean, int64_t c)
{
    const __m512 center = _mm512_set1_ps(mean);
    __m512 even = _mm512_setzero_ps();
    __m512 odd = _mm512_setzero_ps();
    int64_t j = 0;
    for (; j + 32 <= c; j += 32) {
        const __m512 a = _mm512_sub_ps(_mm512_loadu_ps(x + j), center);
        const __m512 b = _mm512_sub_ps(_mm512_loadu_ps(x + j + 16), center);
        even = _mm512_fmadd_ps(a, a, even);
        odd = _mm512_fmadd_ps(b, b, odd);
    }
    for (; j < c; j += 16) {
        const __m512 a = _mm512_maskz_sub_ps(first_lanes(c - j), load_lanes(x + j, c - j), center);
        even = _mm512_fmadd_ps(a, a, even);
    }
    return sum_lanes(_mm512_add_ps(even, odd));
}

static inline __m512 normalised(__m512 x, __m512 mean, __m512 rstd)
{
    return _mm512_mul_ps(_mm512_sub_ps(x, mean), rstd);
}

static inline void write_row(float *y, const float *x, const float *w, const float *b, float mean,
                             float rstd, int64_t c)
{
    const __m512 center = _mm512_set1_ps(mean);
    const __m512 factor = _mm512_set1_ps(rstd);
    for (int64_t j = 0; j < c; j += 16) {
        const __m512 n = normalised(load_lanes(x + j, c - j), center, factor);
        const __m512 shift = b != NULL ? load_lanes(b + j, c - j) : _mm512_setzero_ps();
        store_lanes(y + j, c - j, _mm512_fmadd_ps(n, load_lanes(w + j, c - j), shift));
    }
}

/* Rows that go through each pass together: while one waits for its root, the others work. */
#define ROWS_AT_ONCE 4

void mtf_layernorm_fwd_f32_avx512(float *y, float *sum, float *stats, const float *x,
                                  const float *residual, const float *w, const float *b, int64_t m,
                                  int64_t c, float eps)
{
    for (int64_t i = 0; i < m; i += ROWS_AT_ONCE) {
        const int rows = m - i < ROWS_AT_ONCE ? (int)(m - i) : ROWS_AT_ONCE;
        float *held = (sum != NULL ? sum : y) + i * c;
        float mean[ROWS_AT_ONCE];
        float rstd[ROWS_AT_ONCE];
        for (int r = 0; r < rows; r++) {
            const float *added = residual != NULL ? residual + (i + r) * c : NULL;
            mean[r] = take_row(held + r * c, x + (i + r) * c, added, c) / (float)c;
        }
        for (int r = 0; r < rows; r++) {
            const float variance = row_sum_squares(held + r * c, mean[r], c) / (float)c;
            rstd[r] = 1.0F / sqrtf(variance + eps);
        }
        for (int r = 0; r < rows; r++) {
            write_row(y + (i + r) * c, held + r * c, w, b, mean[r], rstd[r], c);
            if (stats != NULL) {
                stats[2 * (i + r)] = mean[r];
                stats[2 * (i + r) + 1] = rstd[r];
            }
        }
    }
}

void mtf_layernorm_bwd_x_f32_avx512(float *dsum, const float *dy, const float *extra,
                                    const float *sum, const float *stats, const float *w, int64_t m,
                                    int64_t c)
{
    for (int64_t i = 0; i < m; i++) {
        const float *g = dy + i * c;
        const float *s = sum + i * c;
        const __m512 mean = _mm512_set1_ps(stats[2 * i]);
        const __m512 rstd = _mm512_set1_ps(stats[2 * i + 1]);
        __m512 acc = _mm512_setzero_ps();
        __m512 acc_n = _mm512_setzero_ps();
        for (int64_t j = 0; j < c; j += 16) {
            const __m512 gw = _mm512_mul_ps(load_lanes(g + j, c - j), load_lanes(w + j, c - j));
            const __m512 n = normalised(load_lanes(s + j, c - j), mean, rstd);
            acc = _mm512_add_ps(acc, gw);
            acc_n = _mm512_fmadd_ps(gw, n, acc_n);
        }
        const __m512 average = _mm512_set1_ps(sum_lanes(acc) / (float)c);
        const __m512 average_n = _mm512_set1_ps(sum_lanes(acc_n) / (float)c);
        for (int64_t j = 0; j < c; j += 16) {
            const __m512 gw = _mm512_mul_ps(load_lanes(g + j, c - j), load_lanes(w + j, c - j));
            const __m512 n = normalised(load_lanes(s + j, c - j), mean, rstd);
            const __m512 inner = _mm512_fnmadd_ps(n, average_n, _mm512_sub_ps(gw, average));
            __m512 d = _mm512_mul_ps(rstd, inner);
            if (extra != NULL) {
                d = _mm512_add_ps(d, load_lanes(extra + i * c + j, c - j));
            }
            store_lanes(dsum + i * c + j, c - j, d);
        }
    }
}

/* Sixteen columns over all rows; dw and db point at the first of them, or are NULL. */
static inline void add_columns(float *dw, float *db, const float *dy, const float *sum,
                               const float *stats, int64_t m, int64_t c, int64_t n_columns, int add)
{
    __m512 acc_w = add && dw != NULL ? load_lanes(dw, n_columns) : _mm512_setzero_ps();
    __m512 acc_b = add && db != NULL ? load_lanes(db, n_columns) : _mm512_setzero_ps();
    for (int64_t i = 0; i < m; i++) {
        const __m512 g = load_lanes(dy + i * c, n_columns);
        acc_b = _mm512_add_ps(acc_b, g);
        if (dw != NULL) {
            const __m512 n =
                normalised(load_lanes(sum + i * c, n_columns), _mm512_set1_ps(stats[2 * i]),
                           _mm512_set1_ps(stats[2 * i + 1]));
            acc_w = _mm512_fmadd_ps(g, n, acc_w);
        }
    }
    if (dw != NULL) {
        store_lanes(dw, n_columns, acc_w);
    }
    if (db != NULL) {
        store_lanes(db, n_columns, acc_b);
    }
}

void mtf_layernorm_bwd_w_f32_avx512(float *dw, float *db, const float *dy, const float *sum,
                                    const float *stats, int64_t m, int64_t c, int64_t c0,
                                    int64_t c1, int add)
{
    for (int64_t j = c0; j < c1; j += 16) {
        add_columns(dw != NULL ? dw + j : NULL, db != NULL ? db + j : NULL, dy + j,
                    sum != NULL ? sum + j : NULL, stats, m, c, c1 - j, add);
    }
}
