/* Sums of columns around a center, and what a normalisation by columns hands down, eight lanes at a
 * time, two lines of a row together.
 *
 * Precision: rows in order as the reference has them; products are fused with what they are added to.
 * Tolerance family: reduction; column_blend: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

AVX2_COMPILED(column_statistics)

/* Columns that are summed together: two cache lines of a row. */
enum { WIDE = 4, LANES = 8 };

/* Inlined with `width` known, and whether there is g. Columns 0 .. n - 1 of `width` registers: sum of
 * v, and of v (x - center), or NULL; v is g (m rows ld apart, as x has), or without g x - center. */
static inline __attribute__((always_inline)) void sums(float *sum, float *product, const float *g,
                                                       const float *x, const float *center,
                                                       int64_t ld, int64_t m, int64_t n, int width)
{
    __m256 middle[WIDE];
    __m256 first[WIDE];
    __m256 second[WIDE];
    for (int c = 0; c < width; c++) {
        middle[c] = load_lanes(center + LANES * c, n - LANES * c);
        first[c] = second[c] = _mm256_setzero_ps();
    }
    for (int64_t i = 0; i < m; i++) {
        for (int c = 0; c < width; c++) {
            const int64_t at = i * ld + LANES * c;
            const __m256 d = _mm256_sub_ps(load_lanes(x + at, n - LANES * c), middle[c]);
            const __m256 v = g != NULL ? load_lanes(g + at, n - LANES * c) : d;
            first[c] = _mm256_add_ps(first[c], v);
            second[c] = _mm256_fmadd_ps(v, d, second[c]);
        }
    }
    for (int c = 0; c < width; c++) {
        store_lanes(sum + LANES * c, n - LANES * c, first[c]);
        if (product != NULL) {
            store_lanes(product + LANES * c, n - LANES * c, second[c]);
        }
    }
}

void mtf_column_moments_f32_avx2(float *sum, float *squares, const float *x, int64_t ldx,
                                 const float *center, int64_t m, int64_t n)
{
    int64_t j = 0;
    for (; j + WIDE * LANES <= n; j += WIDE * LANES) {
        sums(sum + j, squares != NULL ? squares + j : NULL, NULL, x + j, center + j, ldx, m,
             WIDE * LANES, WIDE);
    }
    for (; j < n; j += LANES) {
        sums(sum + j, squares != NULL ? squares + j : NULL, NULL, x + j, center + j, ldx, m, n - j,
             1);
    }
}

void mtf_column_dots_f32_avx2(float *sum, float *dot, const float *g, const float *x,
                              const float *center, int64_t m, int64_t n)
{
    int64_t j = 0;
    for (; j + WIDE * LANES <= n; j += WIDE * LANES) {
        sums(sum + j, dot + j, g + j, x + j, center + j, n, m, WIDE * LANES, WIDE);
    }
    for (; j < n; j += LANES) {
        sums(sum + j, dot + j, g + j, x + j, center + j, n, m, n - j, 1);
    }
}

static inline __attribute__((always_inline)) void
blend(float *y, const float *g, const float *x, const float *a, const float *b, const float *c,
      const float *center, int64_t ld, int64_t m, int64_t n, int width, int add)
{
    __m256 of_g[WIDE];
    __m256 of_x[WIDE];
    __m256 constant[WIDE];
    __m256 middle[WIDE];
    for (int k = 0; k < width; k++) {
        const int64_t left = n - LANES * k;
        of_g[k] = load_lanes(a + LANES * k, left);
        of_x[k] = load_lanes(b + LANES * k, left);
        constant[k] = load_lanes(c + LANES * k, left);
        middle[k] = load_lanes(center + LANES * k, left);
    }
    for (int64_t i = 0; i < m; i++) {
        for (int k = 0; k < width; k++) {
            const int64_t at = i * ld + LANES * k;
            const int64_t left = n - LANES * k;
            const __m256 d = _mm256_sub_ps(load_lanes(x + at, left), middle[k]);
            __m256 value = _mm256_fmadd_ps(of_g[k], load_lanes(g + at, left),
                                           _mm256_fmadd_ps(of_x[k], d, constant[k]));
            if (add) {
                value = _mm256_add_ps(load_lanes(y + at, left), value);
            }
            store_lanes(y + at, left, value);
        }
    }
}

void mtf_column_blend_f32_avx2(float *y, const float *g, const float *x, const float *a,
                               const float *b, const float *c, const float *center, int64_t m,
                               int64_t n, int add)
{
    int64_t j = 0;
    for (; j + WIDE * LANES <= n; j += WIDE * LANES) {
        blend(y + j, g + j, x + j, a + j, b + j, c + j, center + j, n, m, WIDE * LANES, WIDE, add);
    }
    for (; j < n; j += LANES) {
        blend(y + j, g + j, x + j, a + j, b + j, c + j, center + j, n, m, n - j, 1, add);
    }
}
