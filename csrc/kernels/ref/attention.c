/* Reference attention of one head over one sequence, forward and backward.
 *
 *   s[i][j] = scale * q[i].k[j] + relative[i - j + Lk - 1];  p = softmax(s) by rows;  out = drop(p) v
 *   D[i] = dout[i].o[i];  dp = drop(dout[i].v[j]);  ds = p * (dp - D)
 *   dq = scale ds k;  dk = scale ds^T q;  dv = drop(p)^T dout;  drelative = sums of ds over diagonals
 *                                                                      Vaswani et al. 2017
 *
 * Blocks of LANES queries go over tiles of MTF_ATTENTION_KEYS keys. Forward keeps the largest score
 * and the sum of exponentials of the keys so far, and brings down what earlier tiles gave by
 * exp(old maximum - new) (Milakov, Gimelshein 2018). The probabilities are recomputed in backward
 * from lse = log sum exp(s) (Dao et al. 2022). Every sum goes over keys, over queries or over d in
 * order. A query that sees no key (limits, fewer keys than queries) gets zeros and lse = -inf.
 * Tolerance family: attention. SPDX-License-Identifier: Apache-2.0 */
#include "../../base/random.h"
#include "../../base/real.h"
#include "ref.h"

#define LANES REF_LANES
#define KEYS  MTF_ATTENTION_KEYS

typedef mtf_real lanes[LANES];

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

static int64_t at_least(int64_t n, int64_t limit)
{
    return n > limit ? n : limit;
}

/* Keys from .. end-1, counted from j0, of a tile. */
typedef struct tile {
    int64_t j0, from, end;
} tile;

/* The keys that queries i .. i+rows-1 see of the tile that begins at key j0, the first and the last of
 * them and all between. Tiles lie the same for every query, so that its bits are its own. */
static tile tile_of(const mtf_attention_args *a, int64_t i, int rows, int64_t j0)
{
    return (tile){.j0 = j0,
                  .from = at_least(mtf_attention_first_key(a, i) - j0, 0),
                  .end = at_most(mtf_attention_end_key(a, i + rows - 1) - j0, KEYS)};
}

/* Lane r, which is query i: from products s (KEYS,LANES) to what the softmax is taken of. */
static void finish_scores(lanes *s, int r, const mtf_attention_args *a, int64_t i, const tile *seen)
{
    for (int64_t j = seen->from; j < seen->end; j++) {
        const int64_t diagonal = i - (seen->j0 + j) + a->lk - 1;
        s[j][r] = s[j][r] * a->scale + (a->relative != NULL ? a->relative[diagonal] : 0);
    }
}

/* t (D,LANES) = x (rows,D)^T; lanes past the rows repeat the last one. */
static void transpose(lanes *t, const mtf_real *x, int64_t ldx, int rows, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        for (int r = 0; r < LANES; r++) {
            t[c][r] = x[(r < rows ? r : rows - 1) * ldx + c];
        }
    }
}

/* s (KEYS,LANES) = rows of x (Lk,D) in the tile . t (D,LANES). */
static void dot_keys(lanes *s, const mtf_real *x, int64_t ldx, const tile *of, lanes *t, int64_t d)
{
    for (int64_t j = of->from; j < of->end; j++) {
        const mtf_real *row = x + (of->j0 + j) * ldx;
        lanes sum = {0};
        for (int64_t c = 0; c < d; c++) {
            for (int r = 0; r < LANES; r++) {
                sum[r] += row[c] * t[c][r];
            }
        }
        for (int r = 0; r < LANES; r++) {
            s[j][r] = sum[r];
        }
    }
}

static mtf_real kept(const mtf_mask *drop, int64_t query, int64_t key)
{
    const uint64_t row_key = mtf_random_mix(drop->key, (uint64_t)query);
    return mtf_mask_keeps(row_key, (uint32_t)key, drop->threshold) ? drop->keep_scale : 0;
}

/* y (D) += a * x (D). */
static void axpy(mtf_real *y, mtf_real a, const mtf_real *x, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        y[c] += a * x[c];
    }
}

/* y (D) = a * y, zeros when a is 0. */
static void shrink_row(mtf_real *y, mtf_real a, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        y[c] = a == 0 ? 0 : a * y[c];
    }
}

/* One query, lane r: turns its scores in s (KEYS,LANES) into exponentials over the largest so far, and
 * returns what earlier ones are multiplied by. */
static mtf_real exponentials(lanes *s, int r, const tile *seen, mtf_real *most, mtf_real *total)
{
    const mtf_real before = *most;
    for (int64_t j = seen->from; j < seen->end; j++) {
        *most = s[j][r] > *most ? s[j][r] : *most;
    }
    const mtf_real lowest = -(mtf_real)INFINITY;
    const mtf_real top = *most == lowest ? 0 : *most; /* scores of -inf everywhere */
    const mtf_real shrink = before == lowest ? 0 : mtf_exp(before - top);
    mtf_real sum = 0;
    for (int64_t j = seen->from; j < seen->end; j++) {
        s[j][r] = mtf_exp(s[j][r] - top);
        sum += s[j][r];
    }
    *total = *total * shrink + sum;
    return shrink;
}

void mtf_attention_fwd_ref(const mtf_attention_args *a)
{
    const int64_t d = a->d;
    lanes *t = (lanes *)a->work; /* (D,LANES) */
    lanes *s = t + d;            /* (KEYS,LANES) */
    for (int64_t first = 0; first < a->lq && !mtf_attention_stops(first); first += LANES) {
        const int rows = (int)at_most(a->lq - first, LANES);
        lanes most;
        lanes total = {0};
        transpose(t, a->q + first * a->ldq, a->ldq, rows, d);
        for (int r = 0; r < rows; r++) {
            most[r] = -(mtf_real)INFINITY;
            shrink_row(a->out + (first + r) * a->ldo, 0, d);
        }
        for (int64_t j0 = 0; j0 < a->lk; j0 += KEYS) {
            const tile all = tile_of(a, first, rows, j0);
            dot_keys(s, a->k, a->ldk, &all, t, d);
            for (int r = 0; r < rows; r++) {
                const int64_t i = first + r;
                const tile seen = tile_of(a, i, 1, j0);
                if (seen.end <= seen.from) {
                    continue;
                }
                finish_scores(s, r, a, i, &seen);
                shrink_row(a->out + i * a->ldo, exponentials(s, r, &seen, &most[r], &total[r]), d);
                for (int64_t j = seen.from; j < seen.end; j++) {
                    const mtf_real p =
                        a->drop != NULL ? s[j][r] * kept(a->drop, i, j0 + j) : s[j][r];
                    axpy(a->out + i * a->ldo, p, a->v + (j0 + j) * a->ldv, d);
                }
            }
        }
        for (int r = 0; r < rows; r++) {
            const int sees = total[r] != 0; /* what is not a number does */
            shrink_row(a->out + (first + r) * a->ldo, sees ? 1 / total[r] : 0, d);
            if (a->lse != NULL) {
                a->lse[(first + r) * a->ld_lse] =
                    sees ? most[r] + mtf_log(total[r]) : -(mtf_real)INFINITY;
            }
        }
    }
}

/* x (rows,D) = 0. */
static void zero_rows(mtf_real *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t c = 0; c < d; c++) {
            x[j * ldx + c] = 0;
        }
    }
}

/* What query i, lane r, adds to the gradients; p (KEYS,LANES) scores, dp (KEYS,LANES) dout.v. */
static void add_gradients(const mtf_attention_args *a, lanes *p, lanes *dp, int r, int64_t i,
                          const tile *seen)
{
    const int64_t d = a->d;
    const int scores_train = a->dq != NULL || a->dk != NULL || a->drelative != NULL;
    const mtf_real *g = a->dout + i * a->ldo;
    mtf_real delta = 0;
    for (int64_t c = 0; scores_train && c < d; c++) {
        delta += g[c] * a->out[i * a->ldo + c];
    }
    for (int64_t j = seen->from; j < seen->end; j++) {
        const int64_t key = seen->j0 + j;
        const mtf_real keep = a->drop != NULL ? kept(a->drop, i, key) : 1;
        const mtf_real probability = mtf_exp(p[j][r] - a->lse[i * a->ld_lse]);
        if (a->dv != NULL) {
            axpy(a->dv + key * a->ldv, probability * keep, g, d);
        }
        if (!scores_train) {
            continue;
        }
        const mtf_real inner = dp[j][r] * keep - delta;
        const mtf_real ds = a->scale * probability * inner;
        if (a->drelative != NULL) {
            a->drelative[i - key + a->lk - 1] += probability * inner;
        }
        if (a->dq != NULL) {
            axpy(a->dq + i * a->ldq, ds, a->k + key * a->ldk, d);
        }
        if (a->dk != NULL) {
            axpy(a->dk + key * a->ldk, ds, a->q + i * a->ldq, d);
        }
    }
}

void mtf_attention_bwd_ref(const mtf_attention_args *a)
{
    const int64_t d = a->d;
    lanes *t = (lanes *)a->work; /* (D,LANES): q */
    lanes *g_t = t + d;          /* (D,LANES): dout */
    lanes *p = g_t + d;          /* (KEYS,LANES) */
    lanes *dp = p + KEYS;        /* (KEYS,LANES) */
    const int scores_train = a->dq != NULL || a->dk != NULL || a->drelative != NULL;
    if (a->dq != NULL && !a->add_q) {
        zero_rows(a->dq, a->ldq, a->lq, d);
    }
    if (a->dk != NULL && !a->add_k) {
        zero_rows(a->dk, a->ldk, a->lk, d);
    }
    if (a->dv != NULL && !a->add_v) {
        zero_rows(a->dv, a->ldv, a->lk, d);
    }
    for (int64_t first = 0; first < a->lq && !mtf_attention_stops(first); first += LANES) {
        const int rows = (int)at_most(a->lq - first, LANES);
        transpose(t, a->q + first * a->ldq, a->ldq, rows, d);
        transpose(g_t, a->dout + first * a->ldo, a->ldo, rows, d);
        for (int64_t j0 = 0; j0 < a->lk; j0 += KEYS) {
            const tile all = tile_of(a, first, rows, j0);
            dot_keys(p, a->k, a->ldk, &all, t, d);
            if (scores_train) {
                dot_keys(dp, a->v, a->ldv, &all, g_t, d);
            }
            for (int r = 0; r < rows; r++) {
                const tile seen = tile_of(a, first + r, 1, j0);
                finish_scores(p, r, a, first + r, &seen);
                add_gradients(a, p, dp, r, first + r, &seen);
            }
        }
    }
}
