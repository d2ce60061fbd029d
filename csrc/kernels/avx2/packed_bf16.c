/* Products with bf16 panels without bf16 instructions: both operands are widened to float, which is
 * exact, and multiplied as floats. About as fast as a float product; weights take half the memory.
 *
 * Rows of x are rounded to bf16 into `work`, STRIP_ROWS in [k / CHUNK][row][STRIDE], the rows that
 * a strip lacks as zeros; tiles of 12 rows x 8 columns. An element is one chain of fused
 * multiply-adds over p, so a row's bits are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "avx2.h"

#include <string.h>

AVX2_COMPILED(packed_bf16)

#define STRIP_ROWS 12 /* and a vector of weights, its even or odd terms, one of x: 15 registers */
#define COLUMNS    8
#define CHUNK      256
#define STRIDE     272 /* 17 cache lines: rows spread over the first cache */
#define STRIPS     4   /* of a block */

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

/* to (n up to a multiple of 8) = x (n), xp apart, rounded; zeros past n. */
static void round_row(float *to, const float *x, int64_t xp, int64_t n)
{
    for (int64_t p = 0; p < n; p += 8) {
        float lane[8] = {0};
        for (int64_t i = 0; xp != 1 && i < 8 && p + i < n; i++) {
            lane[i] = x[(p + i) * xp];
        }
        const __m256 eight = xp == 1 ? load_lanes(x + p, n - p) : _mm256_loadu_ps(lane);
        _mm256_storeu_ps(to + p, round_floats(eight));
    }
}

/* strip [chunks][STRIP_ROWS][STRIDE] = rows of x (rows,K). */
static void load_strip(float *strip, const float *x, int64_t xi, int64_t xp, int64_t rows,
                       int64_t k)
{
    for (int64_t p = 0; p < k; p += CHUNK) {
        const int64_t terms = at_most(CHUNK, k - p);
        for (int64_t r = 0; r < rows; r++) {
            round_row(strip + r * STRIDE, x + r * xi + p * xp, xp, terms);
        }
        memset(strip + rows * STRIDE, 0, (size_t)((STRIP_ROWS - rows) * STRIDE) * sizeof *strip);
        strip += STRIP_ROWS * STRIDE;
    }
}

/* clang-format off */
/* Sums by name: compilers keep an array of them in memory. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define BEGIN(r)                                                                                \
    __m256 sum##r = add && (r) < rows ? load_lanes(y + (r) * ldy, width) : _mm256_setzero_ps();
#define EVEN(r) sum##r = _mm256_fmadd_ps(_mm256_broadcast_ss(x + (r) * STRIDE), even, sum##r);
#define ODD(r)  sum##r = _mm256_fmadd_ps(_mm256_broadcast_ss(x + (r) * STRIDE + 1), odd, sum##r);
#define END(r)                                                                                  \
    if ((r) < rows) {                                                                           \
        store_lanes(y + (r) * ldy, width, sum##r);                                              \
    }
/* clang-format on */

/* y (rows,width) = [y +] strip . w [K/2][32][2]: eight columns of a panel. */
static void tile(float *y, int64_t ldy, const float *strip, const uint16_t *w, int64_t rows,
                 int64_t width, int64_t k, int add)
{
    const __m256i upper = _mm256_set1_epi32((int)0xFFFF0000);
    EACH_ROW(BEGIN)
    for (int64_t left = k; left > 0; left -= CHUNK) {
        const float *x = strip;
        const float *end = x + at_most(CHUNK, left);
        for (; x < end; x += 2, w += 2 * MTF_PANEL) {
            const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)w);
            const __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
            EACH_ROW(EVEN)
            const __m256 odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, upper));
            EACH_ROW(ODD)
        }
        strip += STRIP_ROWS * STRIDE;
    }
    EACH_ROW(END)
}

/* Bias, activation and the copy before it, on a tile of y that was just written. */
static void finish(float *y, int64_t ldy, int64_t at, int64_t rows, int64_t j, int64_t width,
                   const mtf_epilogue *e)
{
    if (e->add || (e->bias == NULL && e->pre == NULL && e->activation == MTF_ACT_NONE)) {
        return;
    }
    for (int64_t r = 0; r < rows; r++, at += ldy) {
        mtf_bias_act_fwd_f32_avx2(y + at, e->pre != NULL ? e->pre + at : NULL,
                                  e->bias != NULL ? e->bias + j : NULL, 1, width, e->activation);
    }
}

void mtf_packed_bf16_f32_avx2(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                              const uint16_t *panels, int64_t m, int64_t n, int64_t k,
                              const mtf_epilogue *e, float *work)
{
    const int64_t whole = (k + 1) / 2 * 2;
    const int64_t strip_size = (k + CHUNK - 1) / CHUNK * STRIP_ROWS * STRIDE;
    /* what fits in work, whatever k is: at least two */
    const int64_t room = (int64_t)mtf_packed_work(k) / (strip_size > 0 ? strip_size : 1);
    const int64_t block = STRIP_ROWS * at_most(STRIPS, room);
    for (int64_t first = 0; first < m; first += block) {
        const int64_t last = at_most(first + block, m);
        for (int64_t i = first; i < last; i += STRIP_ROWS) {
            load_strip(work + (i - first) / STRIP_ROWS * strip_size, x + i * xi, xi, xp,
                       at_most(STRIP_ROWS, last - i), k);
        }
        for (int64_t j = 0; j < n; j += COLUMNS) {
            const int64_t width = at_most(COLUMNS, n - j);
            const uint16_t *w = panels + j / MTF_PANEL * MTF_PANEL * whole + j % MTF_PANEL * 2;
            for (int64_t i = first; i < last; i += STRIP_ROWS) {
                const int64_t rows = at_most(STRIP_ROWS, last - i);
                tile(y + i * ldy + j, ldy, work + (i - first) / STRIP_ROWS * strip_size, w, rows,
                     width, k, e->add);
                finish(y, ldy, i * ldy + j, rows, j, width, e);
            }
        }
    }
}
