/* Products with bf16 panels without bf16 instructions: both operands are widened to float, which is
 * exact, and multiplied as floats. As fast as a float product; the weights take half the memory.
 *
 * Rows of x are rounded to bf16 into `work`, CHUNK rows at a time; tiles of 6 rows x 16 columns. A
 * tile at the edge repeats its last row (or masks lanes) and stores what exists. An element is one
 * chain of fused multiply-adds over p, so a row's bits are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "avx2.h"

AVX2_COMPILED(packed_bf16)

#define ROWS    6
#define COLUMNS 16
#define CHUNK   30

static int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

/* Eight floats rounded to bf16, as floats. */
static inline __m256 round_floats(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    const __m256i rounded = _mm256_add_epi32(bits, half);
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xFFFF0000));
    /* a NaN must not become infinity: it stays as it is, made quiet by the product */
    return _mm256_blendv_ps(_mm256_and_ps(_mm256_castsi256_ps(rounded), upper), x, nan);
}

/* to (rows,whole) = rows of x rounded; a zero past an odd K. */
static void load_rows(float *to, const float *x, int64_t xi, int64_t xp, int64_t rows, int64_t k,
                      int64_t whole)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * xi;
        int64_t p = 0;
        for (; xp == 1 && p + 8 <= k; p += 8) {
            _mm256_storeu_ps(to + p, round_floats(_mm256_loadu_ps(row + p)));
        }
        for (; p < k; p++) {
            to[p] = mtf_bf16_value(mtf_bf16_round(row[p * xp]));
        }
        if (p < whole) {
            to[p] = 0;
        }
        to += whole;
    }
}

/* sums += column p of x times row p of weights, for one p of each pair; w: eight columns each. */
static inline void one_term(__m256 sums[ROWS][2], const float *const x[ROWS], int64_t p, __m256 w0,
                            __m256 w1)
{
    for (int r = 0; r < ROWS; r++) {
        const __m256 factor = _mm256_broadcast_ss(x[r] + p);
        sums[r][0] = _mm256_fmadd_ps(factor, w0, sums[r][0]);
        sums[r][1] = _mm256_fmadd_ps(factor, w1, sums[r][1]);
    }
}

/* y (rows,width) = [y +] x (rows,whole) . w [whole/2][32][2]: sixteen columns of a panel. */
static void tile(float *y, int64_t ldy, const float *x, const uint16_t *w, int64_t rows,
                 int64_t width, int64_t whole, int add)
{
    const __m256i upper = _mm256_set1_epi32((int)0xFFFF0000);
    const float *row[ROWS];
    __m256 sums[ROWS][2];
    for (int r = 0; r < ROWS; r++) {
        const int64_t i = at_most(r, rows - 1);
        row[r] = x + i * whole;
        sums[r][0] = add ? load_lanes(y + i * ldy, width) : _mm256_setzero_ps();
        sums[r][1] = add ? load_lanes(y + i * ldy + 8, width - 8) : _mm256_setzero_ps();
    }
    for (int64_t p = 0; p < whole; p += 2) {
        const __m256i pairs_0 = _mm256_loadu_si256((const __m256i *)(const void *)w);
        const __m256i pairs_1 = _mm256_loadu_si256((const __m256i *)(const void *)(w + 16));
        one_term(sums, row, p, _mm256_castsi256_ps(_mm256_slli_epi32(pairs_0, 16)),
                 _mm256_castsi256_ps(_mm256_slli_epi32(pairs_1, 16)));
        one_term(sums, row, p + 1, _mm256_castsi256_ps(_mm256_and_si256(pairs_0, upper)),
                 _mm256_castsi256_ps(_mm256_and_si256(pairs_1, upper)));
        w += 2 * MTF_PANEL;
    }
    for (int r = 0; r < at_most(ROWS, rows); r++) {
        store_lanes(y + r * ldy, width, sums[r][0]);
        store_lanes(y + r * ldy + 8, width - 8, sums[r][1]);
    }
}

void mtf_packed_bf16_f32_avx2(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                              const uint16_t *panels, int64_t m, int64_t n, int64_t k,
                              const mtf_epilogue *e, float *work)
{
    const int64_t whole = (k + 1) / 2 * 2;
    const int finishes = e->bias != NULL || e->pre != NULL || e->activation != MTF_ACT_NONE;
    for (int64_t first = 0; first < m; first += CHUNK) {
        const int64_t last = at_most(first + CHUNK, m);
        load_rows(work, x + first * xi, xi, xp, last - first, k, whole);
        for (int64_t j = 0; j < n; j += COLUMNS) {
            const int64_t width = at_most(COLUMNS, n - j);
            const uint16_t *w = panels + j / MTF_PANEL * MTF_PANEL * whole + j % MTF_PANEL * 2;
            for (int64_t i = first; i < last; i += ROWS) {
                const int64_t rows = at_most(ROWS, last - i);
                tile(y + i * ldy + j, ldy, work + (i - first) * whole, w, rows, width, whole,
                     e->add);
                for (int64_t r = i; !e->add && finishes && r < i + rows; r++) {
                    const int64_t at = r * ldy + j;
                    mtf_bias_act_fwd_f32_avx2(y + at, e->pre != NULL ? e->pre + at : NULL,
                                              e->bias != NULL ? e->bias + j : NULL, 1, width,
                                              e->activation);
                }
            }
        }
    }
}
