/* Reference attention of one head over one sequence, forward and backward.
 *
 *   s[i][j] = scale * q[i].k[j] + bias[i][j];  p = softmax(s) by rows;  out = drop(p) v
 *   D[i] = dout[i].o[i];  dp = drop(dout[i].v[j]);  ds = p * (dp - D)
 *   dq = scale ds k;  dk = scale ds^T q;  dv = drop(p)^T dout          Vaswani et al. 2017
 *
 * Blocks of LANES queries go over tiles of MTF_ATTENTION_KEYS keys. Forward keeps the largest score
 * and the sum of exponentials of the keys so far, and brings down what earlier tiles gave by
 * exp(old maximum - new) (Milakov, Gimelshein 2018). The probabilities are recomputed in backward
 * from lse = log sum exp(s) (Dao et al. 2022). Every sum goes over keys, over queries or over d in
 * order. A query that sees no key (causal, fewer keys than queries) gets zeros and lse = -inf.
 * Tolerance family: attention. SPDX-License-Identifier: Apache-2.0 */
#include "../../base/random.h"
#include "../../base/real.h"
#include "ref.h"

#define LANES REF_LANES
#define KEYS  MTF_ATTENTION_KEYS

typedef mtf_real lanes[LANES];

static int64_t visible_keys(int64_t i, int64_t lq, int64_t lk, int causal)
{
    const int64_t n = causal ? i + lk - lq + 1 : lk;
    return n < 0 ? 0 : n;
}

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
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

/* s (n,LANES) = x (n,D) . t (D,LANES). */
static void dot_keys(lanes *s, const mtf_real *x, int64_t ldx, int64_t n, lanes *t, int64_t d)
{
    for (int64_t j = 0; j < n; j++) {
        lanes sum = {0};
        for (int64_t c = 0; c < d; c++) {
            for (int r = 0; r < LANES; r++) {
                sum[r] += x[j * ldx + c] * t[c][r];
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

/* One query, lane r: turns its n scores in s (n,LANES) into exponentials over the largest so far, and
 * returns what earlier ones are multiplied by. */
static mtf_real exponentials(lanes *s, int r, int64_t n, mtf_real *most, mtf_real *total)
{
    const mtf_real before = *most;
    for (int64_t j = 0; j < n; j++) {
        *most = s[j][r] > *most ? s[j][r] : *most;
    }
    const mtf_real lowest = -(mtf_real)INFINITY;
    const mtf_real top = *most == lowest ? 0 : *most; /* a bias of -inf everywhere */
    const mtf_real shrink = before == lowest ? 0 : mtf_exp(before - top);
    mtf_real sum = 0;
    for (int64_t j = 0; j < n; j++) {
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
            dot_keys(s, a->k + j0 * a->ldk, a->ldk, at_most(KEYS, a->lk - j0), t, d);
            for (int r = 0; r < rows; r++) {
                const int64_t i = first + r;
                const int64_t n = at_most(visible_keys(i, a->lq, a->lk, a->causal) - j0, KEYS);
                for (int64_t j = 0; j < n; j++) {
                    s[j][r] =
                        s[j][r] * a->scale + (a->bias != NULL ? a->bias[i * a->lk + j0 + j] : 0);
                }
                if (n <= 0) {
                    continue;
                }
                shrink_row(a->out + i * a->ldo, exponentials(s, r, n, &most[r], &total[r]), d);
                for (int64_t j = 0; j < n; j++) {
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

void mtf_attention_bwd_ref(const mtf_attention_args *a)
{
    const int64_t d = a->d;
    lanes *t = (lanes *)a->work; /* (D,LANES): q */
    lanes *g_t = t + d;          /* (D,LANES): dout */
    lanes *p = g_t + d;          /* (KEYS,LANES) */
    lanes *dp = p + KEYS;        /* (KEYS,LANES) */
    const int scores_train = a->dq != NULL || a->dk != NULL;
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
            dot_keys(p, a->k + j0 * a->ldk, a->ldk, at_most(KEYS, a->lk - j0), t, d);
            if (scores_train) {
                dot_keys(dp, a->v + j0 * a->ldv, a->ldv, at_most(KEYS, a->lk - j0), g_t, d);
            }
            for (int r = 0; r < rows; r++) {
                const int64_t i = first + r;
                const int64_t n = at_most(visible_keys(i, a->lq, a->lk, a->causal) - j0, KEYS);
                const mtf_real *g = a->dout + i * a->ldo;
                mtf_real delta = 0;
                for (int64_t c = 0; scores_train && c < d; c++) {
                    delta += g[c] * a->out[i * a->ldo + c];
                }
                for (int64_t j = 0; j < n; j++) {
                    const int64_t key = j0 + j;
                    const mtf_real keep = a->drop != NULL ? kept(a->drop, i, key) : 1;
                    const mtf_real s =
                        a->scale * p[j][r] + (a->bias != NULL ? a->bias[i * a->lk + key] : 0);
                    const mtf_real probability = mtf_exp(s - a->lse[i * a->ld_lse]);
                    if (a->dv != NULL) {
                        axpy(a->dv + key * a->ldv, probability * keep, g, d);
                    }
                    if (!scores_train) {
                        continue;
                    }
                    const mtf_real ds = a->scale * probability * (dp[j][r] * keep - delta);
                    if (a->dq != NULL) {
                        axpy(a->dq + i * a->ldq, ds, a->k + key * a->ldk, d);
                    }
                    if (a->dk != NULL) {
                        axpy(a->dk + key * a->ldk, ds, a->q + i * a->ldq, d);
                    }
                }
            }
        }
    }
}
