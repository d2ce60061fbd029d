/* attention.h: what attention forward and backward share: blocks of eight queries as lanes, a tile of
 * scores (keys, queries), weighted sums of rows. For files of this folder only.
 *
 * Queries are the lanes, so that maxima, sums and exponentials need no sum over lanes and keys are
 * read as they lie; only the queries of a block are transposed. Lanes are independent: a query's
 * bits are the same in any of them.
 * Rows of a tile past its keys, and lanes past its queries, hold copies of the last key and query.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_ATTENTION_H
#define MTF_KERNELS_AVX2_ATTENTION_H

#include "avx2.h"

#define LANES 8
#define KEYS  MTF_ATTENTION_KEYS
#define LOG2E 1.44269504F
#define LN2   0.693147181F

/* A tile is taken in steps of so many keys, and of half of them at its end. */
#define KEY_STEP 8
/* Rows and columns of a weighted sum that go together. */
#define SUM_ROWS    4
#define SUM_COLUMNS 16

static inline int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

static inline int64_t at_least(int64_t n, int64_t limit)
{
    return n > limit ? n : limit;
}

/* Keys that lane 0 of a block sees of a tile: from .. end-1, counted from its first; lane r sees from + r
 * .. end + r - 1. What looks at it is compiled twice: `is_limited` is a constant, 0 where every lane
 * sees every key. */
typedef struct sight {
    int64_t from, end;
} sight;

/* Keys that a block of queries goes over, and what lane 0 sees, counted from key 0. */
typedef struct reach {
    int64_t first, end;
    sight of;
} reach;

/* Of `rows` queries from `i` on. The first key is even, so that sums over even and over odd keys take the
 * same keys in every block. */
static inline reach reach_of(const mtf_attention_args *a, int64_t i, int rows, int is_limited)
{
    if (!is_limited) {
        return (reach){.first = 0, .end = a->lk, .of = {0, 0}};
    }
    const int64_t place = i + a->lk - a->lq;
    const int64_t all = a->lq + a->lk; /* reaches over any sequence */
    return (reach){.first = mtf_attention_first_key(a, i) / 2 * 2,
                   .end = mtf_attention_end_key(a, i + rows - 1),
                   .of = {.from = place - (a->left < 0 ? all : at_most(a->left, all)),
                          .end = place + (a->right < 0 ? all : at_most(a->right, all)) + 1}};
}

/* Where the tile that begins at key j ends: at a multiple of KEYS, the same in every block. */
static inline int64_t tile_end(int64_t j, int64_t end)
{
    return at_most((j / KEYS + 1) * KEYS, end);
}

static inline sight sight_of(sight of, int64_t j)
{
    return (sight){of.from - j, of.end - j};
}

/* Queries of a block from `first` on. */
static inline int block_rows(int64_t first, int64_t lq)
{
    return (int)at_most(lq - first, LANES);
}

/* 2^y for y <= 0, and a little above: 2^r for the distance r of y from its nearest whole number,
 * degree 5, 1.5e-7 relative. 0 below the normal numbers, minus infinity too; NaN gives NaN. */
static inline __m256 exp2_f32x8(__m256 y)
{
    const __m256 n = _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 r = _mm256_sub_ps(y, n);
    __m256 p = _mm256_set1_ps(0.00132647273F);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.00967151299F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.0555073358F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.240222424F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.693147004F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
    const __m256i whole = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(whole, 23)));
    return _mm256_and_ps(p, _mm256_cmp_ps(y, _mm256_set1_ps(-126.0F), _CMP_NLT_UQ));
}

/* column[c] = element p + c of each of eight rows (K), p + 4 <= K. */
static inline void four_columns(__m256 column[4], const float *const row[LANES], int64_t p)
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

/* t (D,8) = x (rows,D)^T. */
static inline void transpose_rows(float *t, const float *x, int64_t ldx, int rows, int64_t d)
{
    const float *row[LANES];
    for (int r = 0; r < LANES; r++) {
        row[r] = x + (r < rows ? r : rows - 1) * ldx;
    }
    int64_t c = 0;
    for (; c + 4 <= d; c += 4) {
        __m256 column[4];
        four_columns(column, row, c);
        for (int i = 0; i < 4; i++) {
            _mm256_storeu_ps(t + (c + i) * LANES, column[i]);
        }
    }
    for (; c < d; c++) {
        for (int r = 0; r < LANES; r++) {
            t[c * LANES + r] = row[r][c];
        }
    }
}

/* s (n_keys,8) = row[..] (n_keys of D) . t (D,8). The sums are local, so that compilers keep them in
 * registers. */
static inline void dot_rows(float *s, const float *const row[KEY_STEP], const float *t, int64_t d,
                            int n_keys)
{
    __m256 acc[KEY_STEP];
    for (int r = 0; r < n_keys; r++) {
        acc[r] = _mm256_setzero_ps();
    }
    for (int64_t c = 0; c < d; c++) {
        const __m256 tc = _mm256_loadu_ps(t + c * LANES);
        for (int r = 0; r < n_keys; r++) {
            acc[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(row[r] + c), tc, acc[r]);
        }
    }
    for (int r = 0; r < n_keys; r++) {
        _mm256_storeu_ps(s + r * LANES, acc[r]);
    }
}

/* s (n,8) = x (n,D) . t (D,8), sums over d in order. Writes whole half steps of rows. */
static inline void dot_keys(float *s, const float *x, int64_t ldx, int64_t n, const float *t,
                            int64_t d)
{
    for (int64_t j = 0; j < n; j += KEY_STEP) {
        const float *row[KEY_STEP];
        for (int r = 0; r < KEY_STEP; r++) {
            row[r] = x + at_most(j + r, n - 1) * ldx;
        }
        if (n - j > KEY_STEP / 2) {
            dot_rows(s + j * LANES, row, t, d, KEY_STEP);
        } else {
            dot_rows(s + j * LANES, row, t, d, KEY_STEP / 2);
        }
    }
}

/* s (n,8) = scale * s + relative: key j has its eight queries at relative - j, of which `rows` exist. */
static inline void add_relative(float *s, int64_t n, const float *relative, int rows, float scale)
{
    const __m256 scales = _mm256_set1_ps(scale);
    for (int64_t j = 0; j < n; j++) {
        const __m256 bias = load_lanes(relative - j, rows);
        const __m256 product = _mm256_mul_ps(scales, _mm256_loadu_ps(s + j * LANES));
        _mm256_storeu_ps(s + j * LANES, _mm256_add_ps(product, bias));
    }
}

/* Lanes whose query sees key j of the tile. */
static inline __m256 lanes_that_see(int64_t j, sight of)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i below_end = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32((int)(j - of.end)));
    const __m256i before_from = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32((int)(j - of.from)));
    return _mm256_castsi256_ps(_mm256_andnot_si256(before_from, below_end));
}

/* Lanes whose query sees any of the n keys of the tile. */
static inline __m256 lanes_that_see_some(int64_t n, sight of)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i begun = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32((int)-of.end));
    const __m256i over = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32((int)(n - of.from - 1)));
    return _mm256_castsi256_ps(_mm256_andnot_si256(over, begun));
}

/* What a weighted sum is of: p (n,8)^T . x (n,D), each lane over the keys that it sees. */
typedef struct weights {
    const float *p;
    int64_t n;
    sight of;
    const float *x;
    int64_t ldx;
} weights;

/* acc += p (from..end-1, lane 0)^T . x (..,D), up to 16 columns. */
static inline void add_keys(__m256 acc[2], const float *p, const float *x, int64_t ldx,
                            int64_t from, int64_t end, int64_t lanes)
{
    for (int64_t j = from; j < end; j++) {
        const __m256 pj = _mm256_broadcast_ss(p + j * LANES);
        acc[0] = _mm256_fmadd_ps(pj, load_lanes(x + j * ldx, lanes), acc[0]);
        acc[1] = _mm256_fmadd_ps(pj, load_lanes(x + j * ldx + 8, lanes - 8), acc[1]);
    }
}

/* Up to 16 columns of SUM_ROWS rows, of which `left` exist, from `row` on of y (..,D); before, after
 * (rows) or NULL. Keys in order, one chain of sums: those that not all rows see, those that all see,
 * and the rest. */
static inline void sum_rows(float *y, int64_t ldy, const weights *w, int row, int left,
                            int64_t column, int64_t lanes, const float *before, const float *after,
                            int is_limited)
{
    const float *x = w->x + column;
    const float *p = w->p + row;
    const int64_t from = w->of.from + row;
    const int64_t end = w->of.end + row;
    const int64_t first = is_limited ? at_most(at_least(from + SUM_ROWS - 1, 0), w->n) : 0;
    const int64_t common = is_limited ? at_least(at_most(w->n, end), first) : w->n;
    __m256 acc[SUM_ROWS][2];
    for (int r = 0; r < SUM_ROWS; r++) {
        acc[r][0] = _mm256_setzero_ps();
        acc[r][1] = _mm256_setzero_ps();
        if (before != NULL && r < left) {
            const __m256 factor = _mm256_set1_ps(before[row + r]);
            const float *out = y + (row + r) * ldy + column;
            acc[r][0] = _mm256_mul_ps(factor, load_lanes(out, lanes));
            acc[r][1] = _mm256_mul_ps(factor, load_lanes(out + 8, lanes - 8));
        }
        if (is_limited) {
            add_keys(acc[r], p + r, x, w->ldx, at_least(from + r, 0), at_most(first, end + r),
                     lanes);
        }
    }
    if (lanes >= SUM_COLUMNS) {
        for (int64_t j = first; j < common; j++) {
            const __m256 x0 = _mm256_loadu_ps(x + j * w->ldx);
            const __m256 x1 = _mm256_loadu_ps(x + j * w->ldx + 8);
            for (int r = 0; r < SUM_ROWS; r++) {
                const __m256 pr = _mm256_broadcast_ss(p + j * LANES + r);
                acc[r][0] = _mm256_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    } else {
        for (int64_t j = first; j < common; j++) {
            const __m256 x0 = load_lanes(x + j * w->ldx, lanes);
            const __m256 x1 = load_lanes(x + j * w->ldx + 8, lanes - 8);
            for (int r = 0; r < SUM_ROWS; r++) {
                const __m256 pr = _mm256_broadcast_ss(p + j * LANES + r);
                acc[r][0] = _mm256_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    }
    for (int r = 0; r < SUM_ROWS; r++) {
        if (is_limited) {
            add_keys(acc[r], p + r, x, w->ldx, common, at_most(w->n, end + r), lanes);
        }
        if (r < left) {
            const __m256 factor = _mm256_set1_ps(after != NULL ? after[row + r] : 1.0F);
            float *out = y + (row + r) * ldy + column;
            store_lanes(out, lanes, _mm256_mul_ps(factor, acc[r][0]));
            if (lanes > 8) {
                store_lanes(out + 8, lanes - 8, _mm256_mul_ps(factor, acc[r][1]));
            }
        }
    }
}

/* y (rows,D) = (y * before, or 0) + the sum, times after; before, after (rows) or NULL. With
 * is_limited row r takes only the keys that it sees. */
static inline void weighted_sum(float *y, int64_t ldy, const weights *w, int rows, int64_t d,
                                const float *before, const float *after, int is_limited)
{
    for (int row = 0; row < rows; row += SUM_ROWS) {
        for (int64_t c = 0; c < d; c += SUM_COLUMNS) {
            sum_rows(y, ldy, w, row, rows - row, c, d - c, before, after, is_limited);
        }
    }
}

/* x (rows,D) = 0. */
static inline void zero_rows(float *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = 0; c < d; c += 8) {
            store_lanes(x + i * ldx + c, d - c, _mm256_setzero_ps());
        }
    }
}

#endif
