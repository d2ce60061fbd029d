/* attention.h: what attention forward and backward share: blocks of queries as lanes, a tile of
 * scores (keys, queries), weighted sums of rows. For files of this folder only.
 *
 * Queries are the lanes, so that maxima, sums and exponentials need no sum over lanes and keys are
 * read as they lie; only the queries of a block are transposed. A block has 16 queries, or 8 where
 * no more than 8 are left: the width of a tile, a constant wherever it is used. Lanes are
 * independent: a query's bits are the same in any lane of either width.
 * Rows of a tile past its keys, and lanes past its queries, hold copies of the last key and query.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_ATTENTION_H
#define MTF_KERNELS_AVX512_ATTENTION_H

#include "avx512.h"
#include "transpose.h"

/* Of avx2/: without this level there is none of this one. */
void mtf_attention_fwd_f32_avx2(const mtf_attention_args *a);
void mtf_attention_bwd_f32_avx2(const mtf_attention_args *a);

#define LANES 16
#define KEYS  MTF_ATTENTION_KEYS
#define LOG2E 1.44269504F
#define LN2   0.693147181F

/* A tile is taken in steps of so many keys, and of half of them at its end. */
#define KEY_STEP 8

/* work (n) from its first whole cache line on. */
static inline float *aligned_work(float *work)
{
    return work + (64 - (uintptr_t)work % 64) % 64 / sizeof *work;
}

/* Causal or all keys, and no relative bias; other calls go to the kernels of the level below. */
static inline int has_own_form(const mtf_attention_args *a)
{
    const int causal = a->left < 0 && a->right == 0;
    return a->relative == NULL && (causal || !mtf_attention_limited(a));
}

static inline int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

static inline int64_t visible_keys(int64_t i, int64_t lq, int64_t lk, int causal)
{
    const int64_t n = causal ? i + lk - lq + 1 : lk;
    return n < 0 ? 0 : n;
}

/* Queries of a block from `first` on, and the width of its tile; causal tiles are always wide. */
static inline int block_rows(int64_t first, int64_t lq)
{
    return (int)at_most(lq - first, LANES);
}

static inline int block_width(int rows, int causal)
{
    return rows > LANES / 2 || causal ? LANES : LANES / 2;
}

/* 2^y for y <= 0, and a little above: 2^r for the part r of y above its whole number, degree 5,
 * 1.5e-7 relative; 1 at 0. Minus infinity gives 0, NaN gives NaN. */
static inline __m512 exp2_f32x16(__m512 y)
{
    const __m512 r = _mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_set1_ps(0.00186713028F);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.00901702978F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0557999127F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240164444F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693151295F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    return _mm512_scalef_ps(p, y);
}

/* column[c] = element p + c of each of eight rows (K), p + 4 <= K. */
static inline void four_columns_of_8(__m256 column[4], const float *const row[LANES], int64_t p)
{
    __m256 quarter[4];
    for (int r = 0; r < 4; r++) {
        quarter[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[r] + p)),
                                          _mm_loadu_ps(row[r + 4] + p), 1);
    }
    const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(quarter[0], quarter[1]));
    const __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(quarter[0], quarter[1]));
    const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(quarter[2], quarter[3]));
    const __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(quarter[2], quarter[3]));
    column[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
    column[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
    column[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
    column[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
}

/* t (D,width) = x (rows,D)^T. */
static inline void transpose_rows(float *t, int width, const float *x, int64_t ldx, int rows,
                                  int64_t d)
{
    const float *row[LANES];
    for (int r = 0; r < LANES; r++) {
        row[r] = x + (r < rows ? r : rows - 1) * ldx;
    }
    int64_t c = 0;
    for (; c + 4 <= d && width == LANES; c += 4) {
        __m512 column[4];
        four_columns(column, row, c);
        for (int i = 0; i < 4; i++) {
            _mm512_store_ps(t + (c + i) * LANES, column[i]);
        }
    }
    for (; c + 4 <= d; c += 4) {
        __m256 column[4];
        four_columns_of_8(column, row, c);
        for (int i = 0; i < 4; i++) {
            _mm256_store_ps(t + (c + i) * (LANES / 2), column[i]);
        }
    }
    for (; c < d; c++) {
        for (int r = 0; r < width; r++) {
            t[c * width + r] = row[r][c];
        }
    }
}

/* s (n_keys,16) = row[..] (n_keys of D) . t (D,16). The sums are local, so that compilers keep them in
 * registers. */
static inline void dot_16(float *s, const float *const row[KEY_STEP], const float *t, int64_t d,
                          int n_keys)
{
    __m512 acc[KEY_STEP];
    for (int r = 0; r < n_keys; r++) {
        acc[r] = _mm512_setzero_ps();
    }
    for (int64_t c = 0; c < d; c++) {
        const __m512 tc = _mm512_load_ps(t + c * 16);
        for (int r = 0; r < n_keys; r++) {
            acc[r] = _mm512_fmadd_ps(_mm512_set1_ps(row[r][c]), tc, acc[r]);
        }
    }
    for (int r = 0; r < n_keys; r++) {
        _mm512_store_ps(s + r * 16, acc[r]);
    }
}

/* s (n_keys,8) = row[..] (n_keys of D) . t (D,8). */
static inline void dot_8(float *s, const float *const row[KEY_STEP], const float *t, int64_t d,
                         int n_keys)
{
    __m256 acc[KEY_STEP];
    for (int r = 0; r < n_keys; r++) {
        acc[r] = _mm256_setzero_ps();
    }
    for (int64_t c = 0; c < d; c++) {
        const __m256 tc = _mm256_load_ps(t + c * 8);
        for (int r = 0; r < n_keys; r++) {
            acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(row[r][c]), tc, acc[r]);
        }
    }
    for (int r = 0; r < n_keys; r++) {
        _mm256_store_ps(s + r * 8, acc[r]);
    }
}

/* s (n,width) = x (n,D) . t (D,width), sums over d in order. Writes whole half steps of rows. */
static inline void dot_keys(float *s, int width, const float *x, int64_t ldx, int64_t n,
                            const float *t, int64_t d)
{
    for (int64_t j = 0; j < n; j += KEY_STEP) {
        const float *row[KEY_STEP];
        for (int r = 0; r < KEY_STEP; r++) {
            row[r] = x + at_most(j + r, n - 1) * ldx;
        }
        const int half = n - j <= KEY_STEP / 2;
        if (width == 16 && half) {
            dot_16(s + j * 16, row, t, d, KEY_STEP / 2);
        } else if (width == 16) {
            dot_16(s + j * 16, row, t, d, KEY_STEP);
        } else if (half) {
            dot_8(s + j * 8, row, t, d, KEY_STEP / 2);
        } else {
            dot_8(s + j * 8, row, t, d, KEY_STEP);
        }
    }
}

/* Lanes whose query sees key j, when lane 0 sees the keys below `seen`. */
static inline __mmask16 lanes_that_see(int64_t j, int64_t seen)
{
    return (__mmask16)~first_lanes(j - seen + 1);
}

/* What a weighted sum is of: y (rows,D) (+)= p (n,width)^T . x (n,D). With `seen` >= 0 (causal) row r
 * takes the keys below seen + r only. */
typedef struct weights {
    const float *p;
    int64_t n, seen;
    const float *x;
    int64_t ldx;
} weights;

/* Up to 32 columns of `rows` rows (8 or 4, of which `left` exist) from `row` on of y
 * (..,D); before, after (rows) or NULL. Keys in order, one chain of sums. */
static inline void sum_rows(float *y, int64_t ldy, const weights *w, int width, int row, int rows,
                            int left, int64_t column, int64_t lanes, const float *before,
                            const float *after, int is_causal)
{
    const int whole = lanes >= 32;
    const __mmask16 lanes0 = first_lanes(lanes);
    const __mmask16 lanes1 = first_lanes(lanes - 16);
    const float *x = w->x + column;
    const float *p = w->p + row;
    __m512 acc[8][2];
    for (int r = 0; r < rows; r++) {
        acc[r][0] = _mm512_setzero_ps();
        acc[r][1] = _mm512_setzero_ps();
        if (before != NULL && r < left) {
            const __m512 factor = _mm512_set1_ps(before[row + r]);
            const float *out = y + (row + r) * ldy + column;
            acc[r][0] = _mm512_mul_ps(factor, _mm512_maskz_loadu_ps(lanes0, out));
            acc[r][1] = _mm512_mul_ps(factor, _mm512_maskz_loadu_ps(lanes1, out + 16));
        }
    }
    const int64_t common = is_causal ? at_most(w->n, w->seen + row < 0 ? 0 : w->seen + row) : w->n;
    if (whole) {
        for (int64_t j = 0; j < common; j++) {
            const __m512 x0 = _mm512_loadu_ps(x + j * w->ldx);
            const __m512 x1 = _mm512_loadu_ps(x + j * w->ldx + 16);
            for (int r = 0; r < rows; r++) {
                const __m512 pr = _mm512_set1_ps(p[j * width + r]);
                acc[r][0] = _mm512_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm512_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    } else {
        for (int64_t j = 0; j < common; j++) {
            const __m512 x0 = _mm512_maskz_loadu_ps(lanes0, x + j * w->ldx);
            const __m512 x1 = _mm512_maskz_loadu_ps(lanes1, x + j * w->ldx + 16);
            for (int r = 0; r < rows; r++) {
                const __m512 pr = _mm512_set1_ps(p[j * width + r]);
                acc[r][0] = _mm512_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm512_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        const int64_t n = is_causal ? at_most(w->n, w->seen + row + r) : w->n;
        for (int64_t j = common; j < n; j++) {
            const __m512 pr = _mm512_set1_ps(p[j * width + r]);
            const float *xj = x + j * w->ldx;
            acc[r][0] = _mm512_fmadd_ps(pr, _mm512_maskz_loadu_ps(lanes0, xj), acc[r][0]);
            acc[r][1] = _mm512_fmadd_ps(pr, _mm512_maskz_loadu_ps(lanes1, xj + 16), acc[r][1]);
        }
        if (r < left) {
            const __m512 factor = _mm512_set1_ps(after != NULL ? after[row + r] : 1.0F);
            float *out = y + (row + r) * ldy + column;
            store_lanes(out, lanes, _mm512_mul_ps(factor, acc[r][0]));
            if (lanes > 16) {
                store_lanes(out + 16, lanes - 16, _mm512_mul_ps(factor, acc[r][1]));
            }
        }
    }
}

/* y (rows,D) = (y * before, or 0) + the sum, times after; before, after (rows) or NULL. */
static inline void weighted_sum(float *y, int64_t ldy, const weights *w, int width, int rows,
                                int64_t d, const float *before, const float *after, int is_causal)
{
    for (int row = 0; row < rows; row += 8) {
        const int left = rows - row;
        for (int64_t c = 0; c < d; c += 32) {
            if (left > 4) {
                sum_rows(y, ldy, w, width, row, 8, left, c, d - c, before, after, is_causal);
            } else {
                sum_rows(y, ldy, w, width, row, 4, left, c, d - c, before, after, is_causal);
            }
        }
    }
}

#endif
