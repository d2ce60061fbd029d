/* Attention of one head over one sequence, backward; formulas as in ref/attention.c.
 *
 * Blocks of queries over tiles of keys, as in attention.c: probabilities from the saved lse, their
 * gradients, then dq as a weighted sum of rows of k; dk and dv get each block's rows added, queries in
 * order, and dq each tile's, keys in order: one chain of sums each, whatever the blocks.
 * Precision: fused multiply-adds, exponentials by 2^x. SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "../../base/compiler.h"

#include "avx512.h"
#include "dropout.h"

AVX512_COMPILED(attention_bwd)

static void zero_rows(float *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t c = 0; c < d; c += 16) {
            store_lanes(x + j * ldx + c, d - c, _mm512_setzero_ps());
        }
    }
}

static float dot(const float *a, const float *b, int64_t d)
{
    __m512 acc = _mm512_setzero_ps();
    for (int64_t c = 0; c < d; c += 16) {
        acc = _mm512_fmadd_ps(load_lanes(a + c, d - c), load_lanes(b + c, d - c), acc);
    }
    return sum_lanes(acc);
}

/* Of the lanes of a block; with 8 queries, twice the same 8. */
typedef struct lane_values {
    __m512 top;   /* lse * log2 e */
    __m512 delta; /* dout . o */
} lane_values;

static inline __m512 lanes_of(const float values[LANES], int width)
{
    return width == LANES
               ? _mm512_load_ps(values)
               : _mm512_broadcast_f32x8(_mm256_load_ps(values)); /* the same queries twice */
}

/* Lanes of one vector of a tile that dropout keeps: key j, or j and j + 1 where the width is 8. */
static inline __mmask16 keeps(const mtf_mask *drop, row_keys keys, int width, uint32_t j)
{
    const uint32_t first = keeps_in_rows(keys, j, drop->threshold);
    if (width == LANES) {
        return (__mmask16)first;
    }
    const uint32_t second = keeps_in_rows(keys, j + 1, drop->threshold);
    return (__mmask16)((first & 0xFF) | second << 8);
}

/* In: p holds scores (n,width), dp the products dout.v, or NULL: not needed. Out: p = dropped
 * probabilities, dp = gradient at scale * (q.k). `seen` as in lanes_that_see. */
static inline void gradients(float *p, float *dp, int width, int64_t n, lane_values of,
                             __m512 factor, float scale, const mtf_mask *drop, int64_t first_query,
                             int64_t first_key, int64_t seen, int is_causal)
{
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512 keep_scale = _mm512_set1_ps(drop != NULL ? drop->keep_scale : 1.0F);
    const int keys_at_once = LANES / width;
    row_keys keys = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (drop != NULL) {
        keys = row_keys_of(drop->key, first_query);
    }
    for (int64_t j = 0; j < n; j += keys_at_once) {
        float *at = p + j * width;
        __m512 e = exp2_f32x16(_mm512_fmsub_ps(_mm512_load_ps(at), factor, of.top));
        e = is_causal ? _mm512_maskz_mov_ps(lanes_that_see(j, seen), e) : e;
        __m512 keep = keep_scale;
        if (drop != NULL) {
            keep = _mm512_maskz_mov_ps(keeps(drop, keys, width, (uint32_t)(first_key + j)), keep);
        }
        if (dp != NULL) {
            float *dp_at = dp + j * width;
            const __m512 inner = _mm512_fmsub_ps(_mm512_load_ps(dp_at), keep, of.delta);
            __m512 ds = _mm512_mul_ps(_mm512_mul_ps(scales, e), inner);
            ds = is_causal ? _mm512_maskz_mov_ps(lanes_that_see(j, seen), ds) : ds;
            _mm512_store_ps(dp_at, ds);
        }
        _mm512_store_ps(at, _mm512_mul_ps(e, keep));
    }
}

/* Rows of queries that keys get added. */
typedef struct query_rows {
    const float *x; /* (n,D) */
    int64_t ldx;
    int n;
} query_rows;

/* Up to 32 columns of n_keys keys (8 or 4, of which `left` exist): y (..,D) = (y, or 0 when fresh) +
 * p (n_keys,width) . x, queries in order. */
static inline void add_to_keys(float *y, int64_t ldy, const float *p, int width, int n_keys,
                               int64_t left, query_rows q, int64_t column, int64_t lanes, int fresh)
{
    const __mmask16 lanes0 = first_lanes(lanes);
    const __mmask16 lanes1 = first_lanes(lanes - 16);
    const float *x = q.x + column;
    float *out = y + column;
    __m512 acc[KEY_STEP][2];
    for (int r = 0; r < n_keys; r++) {
        acc[r][0] = _mm512_setzero_ps();
        acc[r][1] = _mm512_setzero_ps();
        if (!fresh && r < left) {
            acc[r][0] = _mm512_maskz_loadu_ps(lanes0, out + r * ldy);
            acc[r][1] = _mm512_maskz_loadu_ps(lanes1, out + r * ldy + 16);
        }
    }
    if (lanes >= 32) {
        for (int i = 0; i < q.n; i++) {
            const __m512 x0 = _mm512_loadu_ps(x + i * q.ldx);
            const __m512 x1 = _mm512_loadu_ps(x + i * q.ldx + 16);
            for (int r = 0; r < n_keys; r++) {
                const __m512 pr = _mm512_set1_ps(p[r * width + i]);
                acc[r][0] = _mm512_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm512_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    } else {
        for (int i = 0; i < q.n; i++) {
            const __m512 x0 = _mm512_maskz_loadu_ps(lanes0, x + i * q.ldx);
            const __m512 x1 = _mm512_maskz_loadu_ps(lanes1, x + i * q.ldx + 16);
            for (int r = 0; r < n_keys; r++) {
                const __m512 pr = _mm512_set1_ps(p[r * width + i]);
                acc[r][0] = _mm512_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm512_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    }
    for (int r = 0; r < n_keys && r < left; r++) {
        store_lanes(out + r * ldy, lanes, acc[r][0]);
        if (lanes > 16) {
            store_lanes(out + r * ldy + 16, lanes - 16, acc[r][1]);
        }
    }
}

/* y (n,D) = (y, or 0 when fresh) + p (n,width) . x (rows,D). A query adds nothing to a key that it
 * does not see, so that what is not a number in it does not arrive there. */
static inline void add_block(float *y, int64_t ldy, const float *p, int width, int64_t n,
                             query_rows q, int64_t d, int fresh, int64_t seen, int is_causal)
{
    for (int64_t j = 0; j < n; j += KEY_STEP) {
        const int64_t left = n - j;
        float *out = y + j * ldy;
        if (is_causal && j + at_most(left, KEY_STEP) > seen) {
            for (int64_t key = j; key < j + KEY_STEP && key < n; key++) {
                const int64_t blind = key - seen + 1 < 0 ? 0 : key - seen + 1;
                const query_rows some = {q.x + blind * q.ldx, q.ldx, q.n - (int)blind};
                for (int64_t c = 0; c < d; c += 32) {
                    add_to_keys(y + key * ldy, ldy, p + key * width + blind, width, 1, 1, some, c,
                                d - c, fresh);
                }
            }
            continue;
        }
        for (int64_t c = 0; c < d; c += 32) {
            if (left > KEY_STEP / 2) {
                add_to_keys(out, ldy, p + j * width, width, KEY_STEP, left, q, c, d - c, fresh);
            } else {
                add_to_keys(out, ldy, p + j * width, width, KEY_STEP / 2, left, q, c, d - c, fresh);
            }
        }
    }
}

/* The work of a block. */
typedef struct tiles {
    float *qt, *gt, *p, *dp; /* (D,16) (D,16) (KEYS,16) (KEYS,16); gt, dp NULL: not needed */
} tiles;

/* `rows` queries from `first` on; `width` and `is_causal` are constants. */
static inline void backward_block(const mtf_attention_args *a, const tiles *t, int64_t first,
                                  int rows, int width, int is_causal)
{
    static const float ones[LANES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t n_keys = visible_keys(first + rows - 1, a->lq, a->lk, is_causal);
    const int64_t offset = first + a->lk - a->lq + 1; /* keys of the first query, or negative */
    const __m512 factor = _mm512_set1_ps(a->scale * LOG2E);
    /* sees every key, and so need not read the gradients that it writes */
    const int is_first = first == 0 && !is_causal;
    const query_rows q = {a->q + first * a->ldq, a->ldq, rows};
    const query_rows g = {a->dout + first * a->ldo, a->ldo, rows};
    MTF_ALIGNED(64) float lse[LANES];
    MTF_ALIGNED(64) float delta[LANES];
    for (int r = 0; r < LANES; r++) {
        const int row = r < rows ? r : rows - 1;
        /* a query that sees nothing has -inf: any finite number will do in its place */
        lse[r] = a->lse[(first + row) * a->ld_lse];
        lse[r] = lse[r] < -1e30F ? -1e30F : lse[r];
        delta[r] = 0;
        if (t->dp != NULL && r < rows) {
            delta[r] = dot(g.x + r * g.ldx, a->out + (first + r) * a->ldo, a->d);
        }
    }
    const lane_values of = {_mm512_mul_ps(lanes_of(lse, width), _mm512_set1_ps(LOG2E)),
                            lanes_of(delta, width)};
    transpose_rows(t->qt, width, q.x, q.ldx, rows, a->d);
    if (t->dp != NULL) {
        transpose_rows(t->gt, width, g.x, g.ldx, rows, a->d);
    }
    for (int64_t j = 0; j < n_keys; j += KEYS) {
        const int64_t n = at_most(KEYS, n_keys - j);
        const int64_t seen = offset - j;
        const float *k = a->k + j * a->ldk;
        dot_keys(t->p, width, k, a->ldk, n, t->qt, a->d);
        if (t->dp != NULL) {
            dot_keys(t->dp, width, a->v + j * a->ldv, a->ldv, n, t->gt, a->d);
        }
        gradients(t->p, t->dp, width, n, of, factor, a->scale, a->drop, first, j, seen, is_causal);
        if (a->dv != NULL) {
            add_block(a->dv + j * a->ldv, a->ldv, t->p, width, n, g, a->d, is_first && !a->add_v,
                      seen, is_causal);
        }
        if (a->dk != NULL) {
            add_block(a->dk + j * a->ldk, a->ldk, t->dp, width, n, q, a->d, is_first && !a->add_k,
                      seen, is_causal);
        }
        if (a->dq != NULL) {
            const weights w = {t->dp, n, seen, k, a->ldk};
            weighted_sum(a->dq + first * a->ldq, a->ldq, &w, width, rows, a->d,
                         j > 0 || a->add_q ? ones : NULL, NULL, is_causal);
        }
    }
    if (n_keys == 0 && a->dq != NULL && !a->add_q) { /* then no tile writes */
        zero_rows(a->dq + first * a->ldq, a->ldq, rows, a->d);
    }
}

void mtf_attention_bwd_f32_avx512(const mtf_attention_args *args)
{
    if (!has_own_form(args)) {
        mtf_attention_bwd_f32_avx2(args);
        return;
    }
    const mtf_attention_args a = *args; /* which no store of floats can change */
    const int causal = mtf_attention_limited(&a);
    const int scores_train = a.dq != NULL || a.dk != NULL;
    float *qt = aligned_work(a.work);
    float *p = qt + LANES * a.d;
    float *dp = p + LANES * KEYS;
    const tiles t = {.qt = qt,
                     .gt = scores_train ? dp + LANES * KEYS : NULL,
                     .p = p,
                     .dp = scores_train ? dp : NULL};
    const int all_written = !causal && a.lq > 0; /* by the first block */
    if (a.dk != NULL && !a.add_k && !all_written) {
        zero_rows(a.dk, a.ldk, a.lk, a.d);
    }
    if (a.dv != NULL && !a.add_v && !all_written) {
        zero_rows(a.dv, a.ldv, a.lk, a.d);
    }
    for (int64_t i = 0; i < a.lq && !mtf_attention_stops(i); i += LANES) {
        const int rows = block_rows(i, a.lq);
        if (causal) {
            backward_block(&a, &t, i, rows, LANES, 1);
        } else if (block_width(rows, 0) == LANES) {
            backward_block(&a, &t, i, rows, LANES, 0);
        } else {
            backward_block(&a, &t, i, rows, LANES / 2, 0);
        }
    }
}
