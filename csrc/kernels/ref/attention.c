/* Reference attention of one head over one sequence, forward and backward.
 *
 *   s[i][j] = scale * q[i].k[j] + bias[i][j];  p = softmax(s) by rows;  out = drop(p) v
 *   D[i] = dout[i].o[i];  dp = drop(dout[i].v[j]);  ds = p * (dp - D)
 *   dq = scale ds k;  dk = scale ds^T q;  dv = drop(p)^T dout          Vaswani et al. 2017
 *
 * The probabilities are recomputed in backward from lse = log sum exp(s) (Dao et al. 2022).
 * Products run as sums of rows ("axpy") over transposed copies of k and v in `work`, which
 * compilers vectorise. Queries go in order, so dk and dv have one order of summation. A query that
 * sees no key (causal, fewer keys than queries) gets zeros and lse = -inf.
 * Tolerance family: attention. SPDX-License-Identifier: Apache-2.0 */
#include "../../base/random.h"
#include "../../base/real.h"
#include "ref.h"

static void transpose(mtf_real *t, const mtf_real *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        for (int64_t j = 0; j < rows; j++) {
            t[c * rows + j] = x[j * ldx + c];
        }
    }
}

/* row (n) = factor * sum over c of x[c] * t[c][j]. */
static void row_times_transposed(mtf_real *row, const mtf_real *x, const mtf_real *t, int64_t ldt,
                                 int64_t n, int64_t d, mtf_real factor)
{
    for (int64_t j = 0; j < n; j++) {
        row[j] = 0;
    }
    for (int64_t c = 0; c < d; c++) {
        const mtf_real xc = x[c];
        for (int64_t j = 0; j < n; j++) {
            row[j] += xc * t[c * ldt + j];
        }
    }
    for (int64_t j = 0; j < n; j++) {
        row[j] *= factor;
    }
}

static int64_t visible_keys(int64_t i, int64_t lq, int64_t lk, int causal)
{
    int64_t n = causal ? i + lk - lq + 1 : lk;
    return n < 0 ? 0 : n;
}

static void add_bias(mtf_real *row, const mtf_real *bias, int64_t i, int64_t lk, int64_t n)
{
    for (int64_t j = 0; bias != NULL && j < n; j++) {
        row[j] += bias[i * lk + j];
    }
}

static mtf_real kept(const mtf_mask *drop, uint64_t row_key, int64_t j)
{
    return mtf_mask_keeps(row_key, (uint32_t)j, drop->threshold) ? drop->keep_scale : 0;
}

void mtf_attention_fwd_ref(mtf_real *out, int64_t ldo, mtf_real *lse, int64_t ld_lse,
                           const mtf_real *q, int64_t ldq, const mtf_real *k, int64_t ldk,
                           const mtf_real *v, int64_t ldv, const mtf_real *bias, int64_t lq,
                           int64_t lk, int64_t d, int causal, mtf_real scale, const mtf_mask *drop,
                           mtf_real *work)
{
    mtf_real *kt = work;         /* (D,Lk) */
    mtf_real *row = kt + d * lk; /* (Lk) */
    transpose(kt, k, ldk, lk, d);
    for (int64_t i = 0; i < lq; i++) {
        const int64_t n = visible_keys(i, lq, lk, causal);
        mtf_real *o = out + i * ldo;
        row_times_transposed(row, q + i * ldq, kt, lk, n, d, scale);
        add_bias(row, bias, i, lk, n);
        mtf_real largest = -(mtf_real)INFINITY;
        for (int64_t j = 0; j < n; j++) {
            largest = row[j] > largest ? row[j] : largest;
        }
        mtf_real total = 0;
        for (int64_t j = 0; j < n; j++) {
            row[j] = mtf_exp(row[j] - largest);
            total += row[j];
        }
        for (int64_t c = 0; c < d; c++) {
            o[c] = 0;
        }
        const uint64_t row_key = drop != NULL ? mtf_random_mix(drop->key, (uint64_t)i) : 0;
        for (int64_t j = 0; j < n; j++) {
            mtf_real p = row[j] / total;
            p = drop != NULL ? p * kept(drop, row_key, j) : p;
            for (int64_t c = 0; c < d; c++) {
                o[c] += p * v[j * ldv + c];
            }
        }
        if (lse != NULL) {
            lse[i * ld_lse] = n > 0 ? largest + mtf_log(total) : -(mtf_real)INFINITY;
        }
    }
}

static void zero_rows(mtf_real *x, int64_t ldx, int64_t rows, int64_t d)
{
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t c = 0; c < d; c++) {
            x[j * ldx + c] = 0;
        }
    }
}

static void axpy(mtf_real *y, mtf_real a, const mtf_real *x, int64_t d)
{
    for (int64_t c = 0; c < d; c++) {
        y[c] += a * x[c];
    }
}

void mtf_attention_bwd_ref(mtf_real *dq, int64_t lddq, int add_q, mtf_real *dk, int64_t lddk,
                           int add_k, mtf_real *dv, int64_t lddv, int add_v, const mtf_real *dout,
                           int64_t lddo, const mtf_real *o, int64_t ldo, const mtf_real *lse,
                           int64_t ld_lse, const mtf_real *q, int64_t ldq, const mtf_real *k,
                           int64_t ldk, const mtf_real *v, int64_t ldv, const mtf_real *bias,
                           int64_t lq, int64_t lk, int64_t d, int causal, mtf_real scale,
                           const mtf_mask *drop, mtf_real *work)
{
    mtf_real *kt = work;        /* (D,Lk) */
    mtf_real *vt = kt + d * lk; /* (D,Lk) */
    mtf_real *p = vt + d * lk;  /* (Lk) */
    mtf_real *dp = p + lk;      /* (Lk) */
    const int scores_train = dq != NULL || dk != NULL;
    transpose(kt, k, ldk, lk, d);
    if (scores_train) {
        transpose(vt, v, ldv, lk, d);
    }
    if (dq != NULL && !add_q) {
        zero_rows(dq, lddq, lq, d);
    }
    if (dk != NULL && !add_k) {
        zero_rows(dk, lddk, lk, d);
    }
    if (dv != NULL && !add_v) {
        zero_rows(dv, lddv, lk, d);
    }
    for (int64_t i = 0; i < lq; i++) {
        const int64_t n = visible_keys(i, lq, lk, causal);
        const mtf_real *g = dout + i * lddo;
        const uint64_t row_key = drop != NULL ? mtf_random_mix(drop->key, (uint64_t)i) : 0;
        mtf_real delta = 0;
        for (int64_t c = 0; scores_train && c < d; c++) {
            delta += g[c] * o[i * ldo + c];
        }
        row_times_transposed(p, q + i * ldq, kt, lk, n, d, scale);
        add_bias(p, bias, i, lk, n);
        if (scores_train) {
            row_times_transposed(dp, g, vt, lk, n, d, 1);
        }
        for (int64_t j = 0; j < n; j++) {
            const mtf_real keep = drop != NULL ? kept(drop, row_key, j) : 1;
            const mtf_real probability = mtf_exp(p[j] - lse[i * ld_lse]);
            p[j] = probability * keep;
            if (scores_train) {
                dp[j] = scale * probability * (dp[j] * keep - delta);
            }
        }
        for (int64_t j = 0; j < n; j++) {
            if (dv != NULL) {
                axpy(dv + j * lddv, p[j], g, d);
            }
            if (dq != NULL) {
                axpy(dq + i * lddq, dp[j], k + j * ldk, d);
            }
            if (dk != NULL) {
                axpy(dk + j * lddk, dp[j], q + i * ldq, d);
            }
        }
    }
}
