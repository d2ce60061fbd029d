/* Layer normalisation, eight lanes at a time; formulas as in ref/layernorm.c.
 *
 * Precision: sums over a row in 16 lanes, variance in two passes, fused multiply-adds, true square
 * root. dw and db add rows in order. A row's bits depend on C alone, never on M.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

#include <math.h>

AVX2_COMPILED(layernorm)

/* Row helpers: `tail` masks the last c % 8 lanes; masked-out lanes read as 0. */

static inline void take_row(float *held, const float *x, const float *residual, int64_t c)
{
    int64_t j = 0;
    for (; j + 8 <= c; j += 8) {
        __m256 v = _mm256_loadu_ps(x + j);
        v = residual != NULL ? _mm256_add_ps(v, _mm256_loadu_ps(residual + j)) : v;
        _mm256_storeu_ps(held + j, v);
    }
    for (; j < c; j++) {
        held[j] = residual != NULL ? x[j] + residual[j] : x[j];
    }
}

static inline float row_sum(const float *x, int64_t c)
{
    __m256 even = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps();
    int64_t j = 0;
    for (; j + 16 <= c; j += 16) {
        even = _mm256_add_ps(even, _mm256_loadu_ps(x + j));
        odd = _mm256_add_ps(odd, _mm256_loadu_ps(x + j + 8));
    }
    for (; j < c; j += 8) {
        even = _mm256_add_ps(even, _mm256_maskload_ps(x + j, first_lanes(c - j)));
    }
    return sum_lanes(_mm256_add_ps(even, odd));
}

static inline float row_sum_squares(const float *x, float mean, int64_t c)
{
    const __m256 center = _mm256_set1_ps(mean);
    __m256 even = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps();
    int64_t j = 0;
    for (; j + 16 <= c; j += 16) {
        const __m256 a = _mm256_sub_ps(_mm256_loadu_ps(x + j), center);
        const __m256 b = _mm256_sub_ps(_mm256_loadu_ps(x + j + 8), center);
        even = _mm256_fmadd_ps(a, a, even);
        odd = _mm256_fmadd_ps(b, b, odd);
    }
    for (; j < c; j += 8) {
        const __m256i tail = first_lanes(c - j);
        const __m256 a = _mm256_and_ps(_mm256_sub_ps(_mm256_maskload_ps(x + j, tail), center),
                                       _mm256_castsi256_ps(tail));
        even = _mm256_fmadd_ps(a, a, even);
    }
    return sum_lanes(_mm256_add_ps(even, odd));
}

static inline __m256 normalised(__m256 x, __m256 mean, __m256 rstd)
{
    return _mm256_mul_ps(_mm256_sub_ps(x, mean), rstd);
}

static inline void write_row(float *y, const float *x, const float *w, const float *b, float mean,
                             float rstd, int64_t c)
{
    const __m256 center = _mm256_set1_ps(mean);
    const __m256 factor = _mm256_set1_ps(rstd);
    int64_t j = 0;
    for (; j + 8 <= c; j += 8) {
        const __m256 n = normalised(_mm256_loadu_ps(x + j), center, factor);
        const __m256 shift = b != NULL ? _mm256_loadu_ps(b + j) : _mm256_setzero_ps();
        _mm256_storeu_ps(y + j, _mm256_fmadd_ps(n, _mm256_loadu_ps(w + j), shift));
    }
    if (j < c) {
        const __m256i tail = first_lanes(c - j);
        const __m256 n = normalised(_mm256_maskload_ps(x + j, tail), center, factor);
        const __m256 shift = b != NULL ? _mm256_maskload_ps(b + j, tail) : _mm256_setzero_ps();
        _mm256_maskstore_ps(y + j, tail,
                            _mm256_fmadd_ps(n, _mm256_maskload_ps(w + j, tail), shift));
    }
}

void mtf_layernorm_fwd_f32_avx2(float *y, float *sum, float *stats, const float *x,
                                const float *residual, const float *w, const float *b, int64_t m,
                                int64_t c, float eps)
{
    for (int64_t i = 0; i < m; i++) {
        const float *held = x + i * c;
        if (sum != NULL || residual != NULL) {
            float *place = (sum != NULL ? sum : y) + i * c;
            take_row(place, held, residual != NULL ? residual + i * c : NULL, c);
            held = place;
        }
        const float mean = row_sum(held, c) / (float)c;
        const float rstd = 1.0F / sqrtf(row_sum_squares(held, mean, c) / (float)c + eps);
        write_row(y + i * c, held, w, b, mean, rstd, c);
        if (stats != NULL) {
            stats[2 * i] = mean;
            stats[2 * i + 1] = rstd;
        }
    }
}

void mtf_layernorm_bwd_x_f32_avx2(float *dsum, const float *dy, const float *extra,
                                  const float *sum, const float *stats, const float *w, int64_t m,
                                  int64_t c)
{
    for (int64_t i = 0; i < m; i++) {
        const float *g = dy + i * c;
        const float *s = sum + i * c;
        const __m256 mean = _mm256_set1_ps(stats[2 * i]);
        const __m256 rstd = _mm256_set1_ps(stats[2 * i + 1]);
        __m256 acc = _mm256_setzero_ps();
        __m256 acc_n = _mm256_setzero_ps();
        for (int64_t j = 0; j < c; j += 8) {
            const __m256 gw = _mm256_mul_ps(load_lanes(g + j, c - j), load_lanes(w + j, c - j));
            const __m256 n = normalised(load_lanes(s + j, c - j), mean, rstd);
            acc = _mm256_add_ps(acc, gw);
            acc_n = _mm256_fmadd_ps(gw, n, acc_n);
        }
        const __m256 average = _mm256_set1_ps(sum_lanes(acc) / (float)c);
        const __m256 average_n = _mm256_set1_ps(sum_lanes(acc_n) / (float)c);
        for (int64_t j = 0; j < c; j += 8) {
            const __m256 gw = _mm256_mul_ps(load_lanes(g + j, c - j), load_lanes(w + j, c - j));
            const __m256 n = normalised(load_lanes(s + j, c - j), mean, rstd);
            const __m256 inner = _mm256_fnmadd_ps(n, average_n, _mm256_sub_ps(gw, average));
            __m256 d = _mm256_mul_ps(rstd, inner);
            if (extra != NULL) {
                d = _mm256_add_ps(d, load_lanes(extra + i * c + j, c - j));
            }
            store_lanes(dsum + i * c + j, c - j, d);
        }
    }
}

/* Eight columns over all rows; dw and db point at the first of them, or are NULL. */
static inline void add_columns(float *dw, float *db, const float *dy, const float *sum,
                               const float *stats, int64_t m, int64_t c, __m256i lanes, int add)
{
    __m256 acc_w = add && dw != NULL ? _mm256_maskload_ps(dw, lanes) : _mm256_setzero_ps();
    __m256 acc_b = add && db != NULL ? _mm256_maskload_ps(db, lanes) : _mm256_setzero_ps();
    for (int64_t i = 0; i < m; i++) {
        const __m256 g = _mm256_maskload_ps(dy + i * c, lanes);
        acc_b = _mm256_add_ps(acc_b, g);
        if (dw != NULL) {
            const __m256 n =
                normalised(_mm256_maskload_ps(sum + i * c, lanes), _mm256_set1_ps(stats[2 * i]),
                           _mm256_set1_ps(stats[2 * i + 1]));
            acc_w = _mm256_fmadd_ps(g, n, acc_w);
        }
    }
    if (dw != NULL) {
        _mm256_maskstore_ps(dw, lanes, acc_w);
    }
    if (db != NULL) {
        _mm256_maskstore_ps(db, lanes, acc_b);
    }
}

void mtf_layernorm_bwd_w_f32_avx2(float *dw, float *db, const float *dy, const float *sum,
                                  const float *stats, int64_t m, int64_t c, int64_t c0, int64_t c1,
                                  int add)
{
    for (int64_t j = c0; j < c1; j += 8) {
        add_columns(dw != NULL ? dw + j : NULL, db != NULL ? db + j : NULL, dy + j,
                    sum != NULL ? sum + j : NULL, stats, m, c, first_lanes(c1 - j), add);
    }
}
