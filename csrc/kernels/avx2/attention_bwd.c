/* Attention of one head over one sequence, backward; formulas as in ref/attention.c.
 *
 * Blocks of queries over tiles of keys, as in attention.c: probabilities from the saved lse, their
 * gradients, then dq as a weighted sum of rows of k; dk and dv get each block's rows added, queries in
 * order, and dq each tile's, keys in order: one chain of sums each, whatever the blocks. drelative gets
 * each block's and tile's in turn.
 * Precision: fused multiply-adds, exponentials by 2^x. SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "avx2.h"
#include "dropout.h"

AVX2_COMPILED(attention_bwd)

static float dot(const float *a, const float *b, int64_t d)
{
    __m256 acc = _mm256_setzero_ps();
    for (int64_t c = 0; c < d; c += 8) {
        acc = _mm256_fmadd_ps(load_lanes(a + c, d - c), load_lanes(b + c, d - c), acc);
    }
    return sum_lanes(acc);
}

/* Of the lanes of a block. */
typedef struct lane_values {
    __m256 top;   /* lse * log2 e */
    __m256 delta; /* dout . o */
} lane_values;

/* In: p holds scores (n,8), dp the products dout.v, or NULL: not needed. Out: p = dropped
 * probabilities, dp = gradient at scale * (q.k). */
static inline void gradients(float *p, float *dp, int64_t n, lane_values values, __m256 factor,
                             float scale, const mtf_mask *drop, int64_t first_query,
                             int64_t first_key, sight of, int is_limited)
{
    const __m256 scales = _mm256_set1_ps(scale);
    const __m256 keep_scale = _mm256_set1_ps(drop != NULL ? drop->keep_scale : 1.0F);
    row_keys keys = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    if (drop != NULL) {
        keys = row_keys_of(drop->key, first_query);
    }
    for (int64_t j = 0; j < n; j++) {
        float *at = p + j * LANES;
        __m256 e = exp2_f32x8(_mm256_fmsub_ps(_mm256_loadu_ps(at), factor, values.top));
        e = is_limited ? _mm256_and_ps(e, lanes_that_see(j, of)) : e;
        __m256 keep = keep_scale;
        if (drop != NULL) {
            keep = _mm256_and_ps(keep,
                                 keeps_in_rows(keys, (uint32_t)(first_key + j), drop->threshold));
        }
        if (dp != NULL) {
            float *dp_at = dp + j * LANES;
            const __m256 inner = _mm256_fmsub_ps(_mm256_loadu_ps(dp_at), keep, values.delta);
            __m256 ds = _mm256_mul_ps(_mm256_mul_ps(scales, e), inner);
            ds = is_limited ? _mm256_and_ps(ds, lanes_that_see(j, of)) : ds;
            _mm256_storeu_ps(dp_at, ds);
        }
        _mm256_storeu_ps(at, _mm256_mul_ps(e, keep));
    }
}

/* Rows of queries that keys get added. */
typedef struct query_rows {
    const float *x; /* (n,D) */
    int64_t ldx;
    int n;
} query_rows;

/* Up to 16 columns of n_keys keys (4 or 1, of which `left` exist): y (..,D) = (y, or 0 when fresh) +
 * p (n_keys,8) . x, queries in order. */
static inline void add_to_keys(float *y, int64_t ldy, const float *p, int n_keys, int64_t left,
                               query_rows q, int64_t column, int64_t lanes, int fresh)
{
    const float *x = q.x + column;
    float *out = y + column;
    __m256 acc[SUM_ROWS][2];
    for (int r = 0; r < n_keys; r++) {
        acc[r][0] = _mm256_setzero_ps();
        acc[r][1] = _mm256_setzero_ps();
        if (!fresh && r < left) {
            acc[r][0] = load_lanes(out + r * ldy, lanes);
            acc[r][1] = load_lanes(out + r * ldy + 8, lanes - 8);
        }
    }
    if (lanes >= SUM_COLUMNS) {
        for (int i = 0; i < q.n; i++) {
            const __m256 x0 = _mm256_loadu_ps(x + i * q.ldx);
            const __m256 x1 = _mm256_loadu_ps(x + i * q.ldx + 8);
            for (int r = 0; r < n_keys; r++) {
                const __m256 pr = _mm256_broadcast_ss(p + r * LANES + i);
                acc[r][0] = _mm256_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    } else {
        for (int i = 0; i < q.n; i++) {
            const __m256 x0 = load_lanes(x + i * q.ldx, lanes);
            const __m256 x1 = load_lanes(x + i * q.ldx + 8, lanes - 8);
            for (int r = 0; r < n_keys; r++) {
                const __m256 pr = _mm256_broadcast_ss(p + r * LANES + i);
                acc[r][0] = _mm256_fmadd_ps(pr, x0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(pr, x1, acc[r][1]);
            }
        }
    }
    for (int r = 0; r < n_keys && r < left; r++) {
        store_lanes(out + r * ldy, lanes, acc[r][0]);
        if (lanes > 8) {
            store_lanes(out + r * ldy + 8, lanes - 8, acc[r][1]);
        }
    }
}

/* y (n,D) = (y, or 0 when fresh) + p (n,8) . x (rows,D). A query adds nothing to a key that it does
 * not see, so that what is not a number in it does not arrive there. */
static inline void add_block(float *y, int64_t ldy, const float *p, int64_t n, query_rows q,
                             int64_t d, int fresh, sight of, int is_limited)
{
    for (int64_t j = 0; j < n; j += SUM_ROWS) {
        const int64_t left = n - j;
        if (is_limited && (j + at_most(left, SUM_ROWS) > of.end || j < of.from + q.n - 1)) {
            for (int64_t key = j; key < j + SUM_ROWS && key < n; key++) {
                const int64_t first = at_least(key - of.end + 1, 0);
                const int64_t end = at_most(key - of.from + 1, q.n);
                const query_rows some = {q.x + first * q.ldx, q.ldx, (int)(end - first)};
                for (int64_t c = 0; end > first && c < d; c += SUM_COLUMNS) {
                    add_to_keys(y + key * ldy, ldy, p + key * LANES + first, 1, 1, some, c, d - c,
                                fresh);
                }
            }
            continue;
        }
        for (int64_t c = 0; c < d; c += SUM_COLUMNS) {
            add_to_keys(y + j * ldy, ldy, p + j * LANES, SUM_ROWS, left, q, c, d - c, fresh);
        }
    }
}

/* drelative, key j with its eight queries at drelative - j, += ds (n,8) / scale. Every eighth key in turn,
 * so that what one adds to is not what the one before it wrote. */
static inline void add_diagonals(float *drelative, const float *ds, int64_t n, int rows,
                                 float scale)
{
    const __m256 inverse = _mm256_set1_ps(1.0F / scale);
    for (int64_t start = 0; start < LANES; start++) {
        for (int64_t j = start; j < n; j += LANES) {
            const __m256 sum = load_lanes(drelative - j, rows);
            const __m256 gradient = _mm256_loadu_ps(ds + j * LANES);
            store_lanes(drelative - j, rows, _mm256_fmadd_ps(inverse, gradient, sum));
        }
    }
}

/* The work of a block. */
typedef struct tiles {
    float *qt, *gt, *p, *dp; /* (D,8) (D,8) (KEYS,8) (KEYS,8); gt, dp NULL: not needed */
} tiles;

/* `rows` queries from `first` on; `is_limited` is a constant. */
static inline void backward_block(const mtf_attention_args *a, const tiles *t, int64_t first,
                                  int rows, int is_limited)
{
    static const float ones[LANES] = {1, 1, 1, 1, 1, 1, 1, 1};
    const reach keys = reach_of(a, first, rows, is_limited);
    const __m256 factor = _mm256_set1_ps(a->relative != NULL ? LOG2E : a->scale * LOG2E);
    /* sees every key, and so need not read the gradients that it writes */
    const int is_first = first == 0 && !is_limited;
    const query_rows q = {a->q + first * a->ldq, a->ldq, rows};
    const query_rows g = {a->dout + first * a->ldo, a->ldo, rows};
    float lse[LANES];
    float delta[LANES];
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
    const lane_values values = {_mm256_mul_ps(_mm256_loadu_ps(lse), _mm256_set1_ps(LOG2E)),
                                _mm256_loadu_ps(delta)};
    transpose_rows(t->qt, q.x, q.ldx, rows, a->d);
    if (t->dp != NULL) {
        transpose_rows(t->gt, g.x, g.ldx, rows, a->d);
    }
    for (int64_t j = keys.first; j < keys.end; j = tile_end(j, keys.end)) {
        const int64_t n = tile_end(j, keys.end) - j;
        const sight of = sight_of(keys.of, j);
        const float *k = a->k + j * a->ldk;
        dot_keys(t->p, k, a->ldk, n, t->qt, a->d);
        if (a->relative != NULL) {
            add_relative(t->p, n, a->relative + first - j + a->lk - 1, rows, a->scale);
        }
        if (t->dp != NULL) {
            dot_keys(t->dp, a->v + j * a->ldv, a->ldv, n, t->gt, a->d);
        }
        gradients(t->p, t->dp, n, values, factor, a->scale, a->drop, first, j, of, is_limited);
        if (a->dv != NULL) {
            add_block(a->dv + j * a->ldv, a->ldv, t->p, n, g, a->d, is_first && !a->add_v, of,
                      is_limited);
        }
        if (a->dk != NULL) {
            add_block(a->dk + j * a->ldk, a->ldk, t->dp, n, q, a->d, is_first && !a->add_k, of,
                      is_limited);
        }
        if (a->drelative != NULL) {
            add_diagonals(a->drelative + first - j + a->lk - 1, t->dp, n, rows, a->scale);
        }
        if (a->dq != NULL) {
            const weights w = {t->dp, n, of, k, a->ldk};
            weighted_sum(a->dq + first * a->ldq, a->ldq, &w, rows, a->d,
                         j > keys.first || a->add_q ? ones : NULL, NULL, is_limited);
        }
    }
    if (keys.end <= keys.first && a->dq != NULL && !a->add_q) { /* then no tile writes */
        zero_rows(a->dq + first * a->ldq, a->ldq, rows, a->d);
    }
}

void mtf_attention_bwd_f32_avx2(const mtf_attention_args *args)
{
    const mtf_attention_args a = *args; /* which no store of floats can change */
    const int scores_train = a.dq != NULL || a.dk != NULL || a.drelative != NULL;
    float *qt = a.work;
    float *p = qt + LANES * a.d;
    float *dp = p + LANES * KEYS;
    const tiles t = {.qt = qt,
                     .gt = scores_train ? dp + LANES * KEYS : NULL,
                     .p = p,
                     .dp = scores_train ? dp : NULL};
    const int limited = mtf_attention_limited(&a);
    const int all_written = !limited && a.lq > 0; /* by the first block */
    if (a.dk != NULL && !a.add_k && !all_written) {
        zero_rows(a.dk, a.ldk, a.lk, a.d);
    }
    if (a.dv != NULL && !a.add_v && !all_written) {
        zero_rows(a.dv, a.ldv, a.lk, a.d);
    }
    for (int64_t i = 0; i < a.lq && !mtf_attention_stops(i); i += LANES) {
        const int rows = block_rows(i, a.lq);
        if (limited) {
            backward_block(&a, &t, i, rows, 1);
        } else {
            backward_block(&a, &t, i, rows, 0);
        }
    }
}
