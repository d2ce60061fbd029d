/* Products with int8 panels by vpmaddwd on 16-bit operands. vpmaddubsw would take bytes, but adds
 * pairs in 16 bits and saturates; here every sum is exact, so the bits are the reference's.
 *
 * Rows of x are quantised into `work`, CHUNK rows at a time, as 16-bit values in the order 0 2 1 3
 * of each four terms: that is how two shifts widen the bytes of a panel. Tiles of 6 rows x 16
 * columns; a tile at the edge repeats its last row and stores what exists.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

#include <math.h>
#include <string.h>

AVX2_COMPILED(packed_int8)

#define ROWS    6
#define COLUMNS 16
#define CHUNK   30

static int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

/* A row of x (k) is low + q * step with whole numbers q = round((x / 2 - half_low) * factor) of
 * 0 .. 255; see kernels.def. */
typedef struct row_of_x {
    float low, step, half_low, factor;
} row_of_x;

static row_of_x measure_row(const float *x, int64_t k)
{
    const __m256 any = _mm256_set1_ps(k > 0 ? x[0] : 0);
    const __m256 zero = _mm256_setzero_ps();
    __m256 least = any, most = any;
    __m256 zeros = zero; /* x * 0 is NaN where x is not finite */
    for (int64_t p = 0; p < k; p += 8) {
        __m256 part = load_lanes(x + p, k - p);
        if (k - p < 8) {
            part = _mm256_blendv_ps(any, part, _mm256_castsi256_ps(first_lanes(k - p)));
        }
        least = _mm256_min_ps(least, part);
        most = _mm256_max_ps(most, part);
        zeros = _mm256_fmadd_ps(part, zero, zeros);
    }
    const int finite = _mm256_movemask_ps(_mm256_cmp_ps(zeros, zero, _CMP_EQ_OQ)) == 0xFF;
    const float low = finite ? -max_lanes(_mm256_sub_ps(zero, least)) : 0;
    const float high = finite ? max_lanes(most) : 0;
    const float half = 0.5F * high - 0.5F * low;
    const int varies = half >= MTF_INT8_LEAST;
    return (row_of_x){
        .low = low,
        .step = !finite  ? NAN
                : varies ? half / 127.5F
                         : 0,
        .half_low = 0.5F * low,
        .factor = varies ? 255.0F / half : 0,
    };
}

static inline __m256i whole_numbers(const float *x, int64_t left, const row_of_x *row)
{
    const __m256 half_low = _mm256_set1_ps(row->half_low);
    const __m256 above = _mm256_fmsub_ps(load_lanes(x, left), _mm256_set1_ps(0.5F), half_low);
    return _mm256_cvtps_epi32(_mm256_mul_ps(above, _mm256_set1_ps(row->factor)));
}

/* to (k up to a multiple of 16) = x (k) as whole numbers, in the order 0 2 1 3. What stands past the
 * end is of no use, its weights are 0. */
static void quantise(int16_t *to, const float *x, int64_t k, const row_of_x *row)
{
    for (int64_t p = 0; p < k; p += 16) {
        const __m256i low = whole_numbers(x + p, k - p, row);
        const __m256i high =
            k - p > 8 ? whole_numbers(x + p + 8, k - p - 8, row) : _mm256_setzero_si256();
        const __m256i both =
            _mm256_packs_epi32(_mm256_shuffle_epi32(low, 0xD8), _mm256_shuffle_epi32(high, 0xD8));
        _mm256_storeu_si256((__m256i *)(void *)(to + p), _mm256_permute4x64_epi64(both, 0xD8));
    }
}

/* to (rows,stride) = rows of x quantised; row (K) is room for a gathered row. */
static void load_rows(int16_t *to, row_of_x *measured, const float *x, int64_t xi, int64_t xp,
                      int64_t rows, int64_t k, int64_t stride, float *row)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * xi;
        if (xp != 1) {
            for (int64_t p = 0; p < k; p++) {
                row[p] = from[p * xp];
            }
            from = row;
        }
        measured[r] = measure_row(from, k);
        quantise(to + r * stride, from, k, &measured[r]);
    }
}

/* Two of four terms of x in every lane. */
static inline __m256i two_terms(const int16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return _mm256_set1_epi32(pair);
}

static inline __m256i add_products(__m256i sums, __m256i x, __m256i w)
{
    return _mm256_add_epi32(sums, _mm256_madd_epi16(x, w));
}

/* Eight columns of one row: y (width) = [y +] what `sums` are worth (kernels.def). */
static inline void finish(float *y, int64_t width, __m256i sums, const row_of_x *row,
                          const float *scale, const int32_t *column_sums, int add)
{
    const __m256 scales = _mm256_loadu_ps(scale);
    const __m256i columns = _mm256_loadu_si256((const __m256i *)(const void *)column_sums);
    const __m256 weights = _mm256_mul_ps(scales, _mm256_cvtepi32_ps(columns));
    const __m256 step = _mm256_mul_ps(_mm256_set1_ps(row->step), scales);
    const __m256 above = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), step);
    const __m256 value = _mm256_fmadd_ps(_mm256_set1_ps(row->low), weights, above);
    const __m256 before = add ? load_lanes(y, width) : _mm256_setzero_ps();
    store_lanes(y, width, _mm256_add_ps(before, value));
}

/* clang-format off */
/* Sums by name: compilers keep an array of them in memory. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define BEGIN(r)                                                                \
    const int16_t *row##r = x + at_most(r, rows - 1) * stride;                  \
    __m256i low##r = _mm256_setzero_si256(), high##r = _mm256_setzero_si256();
#define STEP(r) {                                                               \
        const __m256i factor = two_terms(row##r + p);                           \
        low##r = add_products(low##r, factor, w0);                              \
        high##r = add_products(high##r, factor, w1);                            \
    }
#define END(r)                                                                  \
    if (r < rows) {                                                             \
        finish(y + r * ldy, width, low##r, measured + r, scale, column_sums, add); \
        finish(y + r * ldy + 8, width - 8, high##r, measured + r, scale + 8,    \
               column_sums + 8, add);                                           \
    }
/* clang-format on */

/* y (rows,width) = [y +] x (rows,stride) . w [fours][32][4]: sixteen columns of a panel. */
static void tile(float *y, int64_t ldy, const int16_t *x, int64_t stride, const int8_t *w,
                 int64_t rows, int64_t width, int64_t fours, const row_of_x *measured,
                 const float *scale, const int32_t *column_sums, int add)
{
    EACH_ROW(BEGIN)
    for (int64_t p = 0; p < 4 * fours; p += 2) {
        const __m256i bytes_0 = _mm256_loadu_si256((const __m256i *)(const void *)w);
        const __m256i bytes_1 = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32));
        __m256i w0 = _mm256_srai_epi16(_mm256_slli_epi16(bytes_0, 8), 8);
        __m256i w1 = _mm256_srai_epi16(_mm256_slli_epi16(bytes_1, 8), 8);
        EACH_ROW(STEP)
        p += 2;
        w0 = _mm256_srai_epi16(bytes_0, 8);
        w1 = _mm256_srai_epi16(bytes_1, 8);
        EACH_ROW(STEP)
        w += 4 * MTF_PANEL;
    }
    EACH_ROW(END)
}

void mtf_packed_int8_f32_avx2(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                              const int8_t *panels, const float *scale, const int32_t *sums,
                              int64_t m, int64_t n, int64_t k, const mtf_epilogue *e, float *work)
{
    const int64_t fours = (k + 3) / 4;
    const int64_t stride = (k + 15) / 16 * 16;
    row_of_x measured[CHUNK];
    float *gathered = work;
    int16_t *rows_of_x = (int16_t *)(gathered + k);
    const int finishes = e->bias != NULL || e->pre != NULL || e->activation != MTF_ACT_NONE;
    for (int64_t first = 0; first < m; first += CHUNK) {
        const int64_t last = at_most(first + CHUNK, m);
        load_rows(rows_of_x, measured, x + first * xi, xi, xp, last - first, k, stride, gathered);
        for (int64_t j = 0; j < n; j += COLUMNS) {
            const int64_t width = at_most(COLUMNS, n - j);
            const int8_t *w = panels + j / MTF_PANEL * MTF_PANEL * 4 * fours + j % MTF_PANEL * 4;
            for (int64_t i = first; i < last; i += ROWS) {
                const int64_t rows = at_most(ROWS, last - i);
                tile(y + i * ldy + j, ldy, rows_of_x + (i - first) * stride, stride, w, rows, width,
                     fours, measured + (i - first), scale + j, sums + j, e->add);
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
