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

#include "../../base/compiler.h"

#include "avx512.h"
#include "dropout.h"

#include <math.h>

AVX512_COMPILED(attention)

/* Of the lanes of a block; with 8 queries, twice the same 8. */
typedef struct running {
    __m512 most;  /* largest score so far */
    __m512 total; /* sum of exponentials over it */
} running;

/* The other eight lanes. */
static inline __m512 swapped(__m512 x)
{
    return _mm512_shuffle_f32x4(x, x, 0x4E);
}

/* Largest of each lane of s (n,width), and of `most`; `seen`: as lanes_that_see, or negative. */
static inline __m512 largest(const float *s, int width, int64_t n, __m512 most, int64_t seen,
                             int is_causal)
{
    __m512 other = most;
    if (is_causal) {
        for (int64_t j = 0; j < n; j++) {
            const __mmask16 see = lanes_that_see(j, seen);
            most = _mm512_mask_max_ps(most, see, most, _mm512_load_ps(s + j * width));
        }
        return most;
    }
    int64_t j = 0;
    for (; j + 32 <= n * width; j += 32) {
        most = _mm512_max_ps(most, _mm512_load_ps(s + j));
        other = _mm512_max_ps(other, _mm512_load_ps(s + j + 16));
    }
    for (; j < n * width; j += 16) { /* a last half is a copy of the last key */
        most = _mm512_max_ps(most, _mm512_load_ps(s + j));
    }
    most = _mm512_max_ps(most, other);
    return width == LANES ? most : _mm512_max_ps(most, swapped(most));
}

/* s (n,width) = 2^(factor s - top), 0 where a lane does not see the key; returns their sums. */
static inline __m512 exponentials(float *s, int width, int64_t n, __m512 factor, __m512 top,
                                  int64_t seen, int is_causal)
{
    __m512 even = _mm512_setzero_ps();
    __m512 odd = _mm512_setzero_ps();
    if (width == LANES) {
        int64_t j = 0;
        for (; j + 2 <= n; j += 2) {
            float *at = s + j * LANES;
            __m512 e0 = exp2_f32x16(_mm512_fmsub_ps(_mm512_load_ps(at), factor, top));
            __m512 e1 = exp2_f32x16(_mm512_fmsub_ps(_mm512_load_ps(at + LANES), factor, top));
            if (is_causal) {
                e0 = _mm512_maskz_mov_ps(lanes_that_see(j, seen), e0);
                e1 = _mm512_maskz_mov_ps(lanes_that_see(j + 1, seen), e1);
            }
            _mm512_store_ps(at, e0);
            _mm512_store_ps(at + LANES, e1);
            even = _mm512_add_ps(even, e0);
            odd = _mm512_add_ps(odd, e1);
        }
        if (j < n) {
            float *at = s + j * LANES;
            __m512 e = exp2_f32x16(_mm512_fmsub_ps(_mm512_load_ps(at), factor, top));
            e = is_causal ? _mm512_maskz_mov_ps(lanes_that_see(j, seen), e) : e;
            _mm512_store_ps(at, e);
            even = _mm512_add_ps(even, e);
        }
        return _mm512_add_ps(even, odd);
    }
    for (int64_t j = 0; j < n; j += 2) {
        float *at = s + j * (LANES / 2);
        __m512 e = exp2_f32x16(_mm512_fmsub_ps(_mm512_load_ps(at), factor, top));
        _mm512_store_ps(at, e);
        even = _mm512_add_ps(even, _mm512_maskz_mov_ps(j + 1 < n ? 0xFFFF : 0x00FF, e));
    }
    return _mm512_add_ps(even, swapped(even));
}

static void drop_tile(float *s, int width, int64_t n, const mtf_mask *drop, int64_t first_query,
                      int64_t first_key)
{
    const row_keys keys = row_keys_of(drop->key, first_query);
    for (int64_t j = 0; j < n; j++) {
        const __mmask16 kept = keeps_in_rows(keys, (uint32_t)(first_key + j), drop->threshold);
        const __mmask16 lanes = first_lanes(width);
        float *at = s + j * width;
        const __m512 p = _mm512_maskz_loadu_ps(lanes & kept, at);
        _mm512_mask_storeu_ps(at, lanes, _mm512_mul_ps(p, _mm512_set1_ps(drop->keep_scale)));
    }
}

/* `rows` queries from `first` on; t (D,16) and s (KEYS,16) are work. `width` and `is_causal` are constants. */
static inline running forward_block(const mtf_attention_args *a, float *t, float *s, int64_t first,
                                    int rows, int width, int is_causal)
{
    const int64_t n_keys = visible_keys(first + rows - 1, a->lq, a->lk, is_causal);
    const int64_t offset = first + a->lk - a->lq + 1; /* keys of the first query, or negative */
    const __m512 factor = _mm512_set1_ps(a->scale * LOG2E);
    running state = {_mm512_set1_ps(-INFINITY), _mm512_setzero_ps()};
    MTF_ALIGNED(64) float before[LANES];
    MTF_ALIGNED(64) float after[LANES];
    transpose_rows(t, width, a->q + first * a->ldq, a->ldq, rows, a->d);
    for (int64_t j = 0; j < n_keys; j += KEYS) {
        const int64_t n = at_most(KEYS, n_keys - j);
        const int64_t seen = offset - j;
        dot_keys(s, width, a->k + j * a->ldk, a->ldk, n, t, a->d);
        const __m512 most = largest(s, width, n, state.most, seen, is_causal);
        /* a lane that sees nothing yet keeps -inf: any finite number will do in its place */
        const __m512 top = _mm512_mul_ps(factor, _mm512_max_ps(_mm512_set1_ps(-1e30F), most));
        __m512 shrink = exp2_f32x16(_mm512_fmsub_ps(state.most, factor, top));
        if (is_causal) { /* exactly 1 for a tile of which a lane sees nothing */
            shrink = _mm512_mask_mov_ps(_mm512_set1_ps(1.0F), lanes_that_see(0, seen), shrink);
        }
        const __m512 sum = exponentials(s, width, n, factor, top, seen, is_causal);
        state.total = _mm512_fmadd_ps(state.total, shrink, sum);
        state.most = most;
        if (a->drop != NULL) {
            drop_tile(s, width, n, a->drop, first, j);
        }
        const int is_last = j + KEYS >= n_keys;
        if (is_last) {
            const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0F), state.total);
            const __mmask16 none = _mm512_cmp_ps_mask(state.total, _mm512_setzero_ps(), _CMP_EQ_OQ);
            _mm512_store_ps(after, _mm512_mask_mov_ps(inverse, none, _mm512_setzero_ps()));
        }
        if (j > 0) {
            _mm512_store_ps(before, shrink);
        }
        const weights w = {s, n, seen, a->v + j * a->ldv, a->ldv};
        weighted_sum(a->out + first * a->ldo, a->ldo, &w, width, rows, a->d, j > 0 ? before : NULL,
                     is_last ? after : NULL, is_causal);
    }
    return state;
}

static void write_lse(float *lse, int64_t ld_lse, running state, float factor, int rows)
{
    MTF_ALIGNED(64) float most[LANES];
    MTF_ALIGNED(64) float total[LANES];
    _mm512_store_ps(most, state.most);
    _mm512_store_ps(total, state.total);
    for (int r = 0; r < rows; r++) {
        lse[r * ld_lse] = most[r] * factor + logf(total[r]);
    }
}

static void zero_rows(float *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = 0; c < d; c += 16) {
            store_lanes(x + i * ldx + c, d - c, _mm512_setzero_ps());
        }
    }
}

void mtf_attention_fwd_f32_avx512(const mtf_attention_args *args)
{
    if (!has_own_form(args)) {
        mtf_attention_fwd_f32_avx2(args);
        return;
    }
    const mtf_attention_args a = *args; /* which no store of floats can change */
    const int causal = mtf_attention_limited(&a);
    float *t = aligned_work(a.work);
    float *s = t + LANES * a.d;
    for (int64_t i = 0; i < a.lq && !mtf_attention_stops(i); i += LANES) {
        const int rows = block_rows(i, a.lq);
        if (visible_keys(i + rows - 1, a.lq, a.lk, causal) == 0) { /* then no tile writes */
            zero_rows(a.out + i * a.ldo, a.ldo, rows, a.d);
        }
        running state;
        if (causal) {
            state = forward_block(&a, t, s, i, rows, LANES, 1);
        } else if (block_width(rows, 0) == LANES) {
            state = forward_block(&a, t, s, i, rows, LANES, 0);
        } else {
            state = forward_block(&a, t, s, i, rows, LANES / 2, 0);
        }
        if (a.lse != NULL) {
            write_lse(a.lse + i * a.ld_lse, a.ld_lse, state, a.scale, rows);
        }
    }
}
