/* Attention of one head over one sequence, forward; formulas as in ref/attention.c.
 *
 * A block of queries (attention.h) goes over the keys in tiles: scores, exponentials over the
 * largest score so far, the weighted sum of rows of v on top of what earlier tiles gave, brought
 * down by 2^(old maximum - new) (Milakov, Gimelshein 2018). Nothing longer than a tile is kept.
 * A query's bits depend on its own row and on the keys that it sees: sums go over d and over keys
 * in order, the sum of exponentials over even and over odd keys.
 * Precision: fused multiply-adds; exponentials by 2^x, the factor log2 e within the scale; the
 * division by their sum comes last. scale > 0. SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "avx2.h"
#include "dropout.h"

#include <math.h>

AVX2_COMPILED(attention)

/* Of the lanes of a block. */
typedef struct running {
    __m256 most;  /* largest score so far */
    __m256 total; /* sum of exponentials over it */
} running;

/* `x` in the lanes that see key j, `otherwise` in the others. */
static inline __m256 where_seen(__m256 x, __m256 otherwise, int64_t j, sight of, int is_limited)
{
    return is_limited ? _mm256_blendv_ps(otherwise, x, lanes_that_see(j, of)) : x;
}

/* Largest of each lane of s (n,8), and of `most`. */
static inline __m256 largest(const float *s, int64_t n, __m256 most, sight of, int is_limited)
{
    const __m256 least = _mm256_set1_ps(-INFINITY);
    __m256 other = most;
    int64_t j = 0;
    for (; j + 2 <= n; j += 2) {
        const __m256 s0 = _mm256_loadu_ps(s + j * LANES);
        const __m256 s1 = _mm256_loadu_ps(s + (j + 1) * LANES);
        most = _mm256_max_ps(most, where_seen(s0, least, j, of, is_limited));
        other = _mm256_max_ps(other, where_seen(s1, least, j + 1, of, is_limited));
    }
    if (j < n) {
        const __m256 s0 = _mm256_loadu_ps(s + j * LANES);
        most = _mm256_max_ps(most, where_seen(s0, least, j, of, is_limited));
    }
    return _mm256_max_ps(most, other);
}

/* s (n,8) = 2^(factor s - top), 0 where a lane does not see the key; returns their sums. */
static inline __m256 exponentials(float *s, int64_t n, __m256 factor, __m256 top, sight of,
                                  int is_limited)
{
    const __m256 zero = _mm256_setzero_ps();
    __m256 even = zero;
    __m256 odd = zero;
    int64_t j = 0;
    for (; j + 2 <= n; j += 2) {
        float *at = s + j * LANES;
        __m256 e0 = exp2_f32x8(_mm256_fmsub_ps(_mm256_loadu_ps(at), factor, top));
        __m256 e1 = exp2_f32x8(_mm256_fmsub_ps(_mm256_loadu_ps(at + LANES), factor, top));
        e0 = where_seen(e0, zero, j, of, is_limited);
        e1 = where_seen(e1, zero, j + 1, of, is_limited);
        _mm256_storeu_ps(at, e0);
        _mm256_storeu_ps(at + LANES, e1);
        even = _mm256_add_ps(even, e0);
        odd = _mm256_add_ps(odd, e1);
    }
    if (j < n) {
        float *at = s + j * LANES;
        __m256 e = exp2_f32x8(_mm256_fmsub_ps(_mm256_loadu_ps(at), factor, top));
        e = where_seen(e, zero, j, of, is_limited);
        _mm256_storeu_ps(at, e);
        even = _mm256_add_ps(even, e);
    }
    return _mm256_add_ps(even, odd);
}

static void drop_tile(float *s, int64_t n, const mtf_mask *drop, int64_t first_query,
                      int64_t first_key)
{
    const row_keys keys = row_keys_of(drop->key, first_query);
    const __m256 factor = _mm256_set1_ps(drop->keep_scale);
    for (int64_t j = 0; j < n; j++) {
        const __m256 kept = keeps_in_rows(keys, (uint32_t)(first_key + j), drop->threshold);
        const __m256 p = _mm256_mul_ps(_mm256_loadu_ps(s + j * LANES), factor);
        _mm256_storeu_ps(s + j * LANES, _mm256_and_ps(p, kept));
    }
}

/* `rows` queries from `first` on; t (D,8) and s (KEYS,8) are work. `is_limited` is a constant. */
static inline running forward_block(const mtf_attention_args *a, float *t, float *s, int64_t first,
                                    int rows, int is_limited)
{
    const reach keys = reach_of(a, first, rows, is_limited);
    const __m256 factor = _mm256_set1_ps(a->relative != NULL ? LOG2E : a->scale * LOG2E);
    running state = {_mm256_set1_ps(-INFINITY), _mm256_setzero_ps()};
    float before[LANES];
    float after[LANES];
    transpose_rows(t, a->q + first * a->ldq, a->ldq, rows, a->d);
    for (int64_t j = keys.first; j < keys.end; j = tile_end(j, keys.end)) {
        const int64_t n = tile_end(j, keys.end) - j;
        const sight of = sight_of(keys.of, j);
        dot_keys(s, a->k + j * a->ldk, a->ldk, n, t, a->d);
        if (a->relative != NULL) {
            add_relative(s, n, a->relative + first - j + a->lk - 1, rows, a->scale);
        }
        const __m256 most = largest(s, n, state.most, of, is_limited);
        /* a lane that sees nothing yet keeps -inf: any finite number will do in its place */
        const __m256 top = _mm256_mul_ps(factor, _mm256_max_ps(_mm256_set1_ps(-1e30F), most));
        __m256 shrink = exp2_f32x8(_mm256_fmsub_ps(state.most, factor, top));
        if (is_limited) { /* exactly 1 for a tile of which a lane sees nothing */
            shrink = _mm256_blendv_ps(_mm256_set1_ps(1.0F), shrink, lanes_that_see_some(n, of));
        }
        const __m256 sum = exponentials(s, n, factor, top, of, is_limited);
        state.total = _mm256_fmadd_ps(state.total, shrink, sum);
        state.most = most;
        if (a->drop != NULL) {
            drop_tile(s, n, a->drop, first, j);
        }
        const int is_last = j + n == keys.end;
        if (is_last) {
            const __m256 inverse = _mm256_div_ps(_mm256_set1_ps(1.0F), state.total);
            const __m256 empty = _mm256_cmp_ps(state.total, _mm256_setzero_ps(), _CMP_EQ_OQ);
            _mm256_storeu_ps(after, _mm256_andnot_ps(empty, inverse));
        }
        if (j > keys.first) {
            _mm256_storeu_ps(before, shrink);
        }
        const weights w = {s, n, of, a->v + j * a->ldv, a->ldv};
        weighted_sum(a->out + first * a->ldo, a->ldo, &w, rows, a->d,
                     j > keys.first ? before : NULL, is_last ? after : NULL, is_limited);
    }
    return state;
}

static void write_lse(float *lse, int64_t ld_lse, running state, float factor, int rows)
{
    float most[LANES];
    float total[LANES];
    _mm256_storeu_ps(most, state.most);
    _mm256_storeu_ps(total, state.total);
    for (int r = 0; r < rows; r++) {
        lse[r * ld_lse] = most[r] * factor + logf(total[r]);
    }
}

void mtf_attention_fwd_f32_avx2(const mtf_attention_args *args)
{
    const mtf_attention_args a = *args; /* which no store of floats can change */
    float *t = a.work;
    float *s = t + LANES * a.d;
    for (int64_t i = 0; i < a.lq && !mtf_attention_stops(i); i += LANES) {
        const int rows = block_rows(i, a.lq);
        if (mtf_attention_end_key(&a, i + rows - 1) <= 0) { /* then no tile writes */
            zero_rows(a.out + i * a.ldo, a.ldo, rows, a.d);
        }
        running state;
        if (mtf_attention_limited(&a)) {
            state = forward_block(&a, t, s, i, rows, 1);
        } else {
            state = forward_block(&a, t, s, i, rows, 0);
        }
        if (a.lse != NULL) {
            write_lse(a.lse + i * a.ld_lse, a.ld_lse, state, a.relative != NULL ? 1.0F : a.scale,
                      rows);
        }
    }
}
