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

/* The arguments of the kernel that a block reads, shapes as there, and its work. */
typedef struct head {
    float *dq, *dk, *dv;
    int64_t lddq, lddk, lddv;
    int add_q, fresh_k, fresh_v; /* fresh: of the first block, which then need not read */
    const float *dout, *o, *lse, *q, *k, *v, *bias;
    int64_t lddo, ldo, ld_lse, ldq, ldk, ldv, lq, lk, d;
    float scale;
    const mtf_mask *drop;
    float *qt, *gt, *p, *dp; /* (D,16) (D,16) (KEYS,16) (KEYS,16); gt, dp NULL: not needed */
} head;

/* `rows` queries from `first` on; `width` and `is_causal` are constants. */
static inline void backward_block(const head *h, int64_t first, int rows, int width, int is_causal)
{
    static const float ones[LANES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t n_keys = visible_keys(first + rows - 1, h->lq, h->lk, is_causal);
    const int64_t offset = first + h->lk - h->lq + 1; /* keys of the first query, or negative */
    const __m512 factor = _mm512_set1_ps(h->bias != NULL ? LOG2E : h->scale * LOG2E);
    const query_rows q = {h->q + first * h->ldq, h->ldq, rows};
    const query_rows g = {h->dout + first * h->lddo, h->lddo, rows};
    MTF_ALIGNED(64) float lse[LANES];
    MTF_ALIGNED(64) float delta[LANES];
    for (int r = 0; r < LANES; r++) {
        const int row = r < rows ? r : rows - 1;
        /* a query that sees nothing has -inf: any finite number will do in its place */
        lse[r] = h->lse[(first + row) * h->ld_lse];
        lse[r] = lse[r] < -1e30F ? -1e30F : lse[r];
        delta[r] = 0;
        if (h->dp != NULL && r < rows) {
            delta[r] = dot(g.x + r * g.ldx, h->o + (first + r) * h->ldo, h->d);
        }
    }
    const lane_values of = {_mm512_mul_ps(lanes_of(lse, width), _mm512_set1_ps(LOG2E)),
                            lanes_of(delta, width)};
    transpose_rows(h->qt, width, q.x, q.ldx, rows, h->d);
    if (h->dp != NULL) {
        transpose_rows(h->gt, width, g.x, g.ldx, rows, h->d);
    }
    for (int64_t j = 0; j < n_keys; j += KEYS) {
        const int64_t n = at_most(KEYS, n_keys - j);
        const int64_t seen = offset - j;
        const float *k = h->k + j * h->ldk;
        dot_keys(h->p, width, k, h->ldk, n, h->qt, h->d);
        if (h->bias != NULL) {
            add_bias(h->p, width, n, h->bias + first * h->lk + j, h->lk, rows, h->scale);
        }
        if (h->dp != NULL) {
            dot_keys(h->dp, width, h->v + j * h->ldv, h->ldv, n, h->gt, h->d);
        }
        gradients(h->p, h->dp, width, n, of, factor, h->scale, h->drop, first, j, seen, is_causal);
        if (h->dv != NULL) {
            add_block(h->dv + j * h->lddv, h->lddv, h->p, width, n, g, h->d,
                      h->fresh_v && first == 0, seen, is_causal);
        }
        if (h->dk != NULL) {
            add_block(h->dk + j * h->lddk, h->lddk, h->dp, width, n, q, h->d,
                      h->fresh_k && first == 0, seen, is_causal);
        }
        if (h->dq != NULL) {
            const weights w = {h->dp, n, seen, k, h->ldk};
            weighted_sum(h->dq + first * h->lddq, h->lddq, &w, width, rows, h->d,
                         j > 0 || h->add_q ? ones : NULL, NULL, is_causal);
        }
    }
    if (n_keys == 0 && h->dq != NULL && !h->add_q) { /* then no tile writes */
        zero_rows(h->dq + first * h->lddq, h->lddq, rows, h->d);
    }
}

void mtf_attention_bwd_f32_avx512(float *dq, int64_t lddq, int add_q, float *dk, int64_t lddk,
                                  int add_k, float *dv, int64_t lddv, int add_v, const float *dout,
                                  int64_t lddo, const float *o, int64_t ldo, const float *lse,
                                  int64_t ld_lse, const float *q, int64_t ldq, const float *k,
                                  int64_t ldk, const float *v, int64_t ldv, const float *bias,
                                  int64_t lq, int64_t lk, int64_t d, int causal, float scale,
                                  const mtf_mask *drop, float *work)
{
    const int scores_train = dq != NULL || dk != NULL;
    /* the first block sees every key, unless causal */
    const int fresh = !causal && lq > 0;
    float *qt = aligned_work(work);
    float *p = qt + LANES * d;
    float *dp = p + LANES * KEYS;
    const head h = {.dq = dq,
                    .dk = dk,
                    .dv = dv,
                    .lddq = lddq,
                    .lddk = lddk,
                    .lddv = lddv,
                    .add_q = add_q,
                    .fresh_k = fresh && !add_k,
                    .fresh_v = fresh && !add_v,
                    .dout = dout,
                    .o = o,
                    .lse = lse,
                    .q = q,
                    .k = k,
                    .v = v,
                    .bias = bias,
                    .lddo = lddo,
                    .ldo = ldo,
                    .ld_lse = ld_lse,
                    .ldq = ldq,
                    .ldk = ldk,
                    .ldv = ldv,
                    .lq = lq,
                    .lk = lk,
                    .d = d,
                    .scale = scale,
                    .drop = drop,
                    .qt = qt,
                    .gt = scores_train ? dp + LANES * KEYS : NULL,
                    .p = p,
                    .dp = scores_train ? dp : NULL};
    if (dk != NULL && !add_k && !fresh) {
        zero_rows(dk, lddk, lk, d);
    }
    if (dv != NULL && !add_v && !fresh) {
        zero_rows(dv, lddv, lk, d);
    }
    for (int64_t i = 0; i < lq; i += LANES) {
        const int rows = block_rows(i, lq);
        if (causal) {
            backward_block(&h, i, rows, LANES, 1);
        } else if (block_width(rows, 0) == LANES) {
            backward_block(&h, i, rows, LANES, 0);
        } else {
            backward_block(&h, i, rows, LANES / 2, 0);
        }
    }
}
