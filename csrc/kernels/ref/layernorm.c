/* Reference layer normalisation over rows, with the residual sum in front of it.
 *
 *   s = x + residual;  n = (s - mean) * rstd,  rstd = 1/sqrt(var + eps);  y = n * w + b
 *   ds = rstd * (g - avg(g) - n * avg(g * n)) + extra,  g = dy * w
 *   dw = sum over rows of dy * n,  db = sum over rows of dy           Ba, Kiros, Hinton 2016
 *
 * Variance in two passes; sums over a row in REF_LANES partial sums; sums over rows in order.
 * Tolerance family: reduction. Derivation: docs/derivations/layernorm.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/real.h"
#include "ref.h"

static mtf_real row_sum(const mtf_real *x, int64_t n)
{
    mtf_real acc[REF_LANES] = {0};
    int64_t j = 0;
    for (; j + REF_LANES <= n; j += REF_LANES) {
        for (int l = 0; l < REF_LANES; l++) {
            acc[l] += x[j + l];
        }
    }
    for (int l = 0; j + l < n; l++) {
        acc[l] += x[j + l];
    }
    return ref_sum_lanes(acc);
}

static mtf_real row_sum_squares(const mtf_real *x, mtf_real mean, int64_t n)
{
    mtf_real acc[REF_LANES] = {0};
    int64_t j = 0;
    for (; j + REF_LANES <= n; j += REF_LANES) {
        for (int l = 0; l < REF_LANES; l++) {
            acc[l] += (x[j + l] - mean) * (x[j + l] - mean);
        }
    }
    for (int l = 0; j + l < n; l++) {
        acc[l] += (x[j + l] - mean) * (x[j + l] - mean);
    }
    return ref_sum_lanes(acc);
}

void mtf_layernorm_fwd_ref(mtf_real *y, mtf_real *sum, mtf_real *stats, const mtf_real *x,
                           const mtf_real *residual, const mtf_real *w, const mtf_real *b,
                           int64_t m, int64_t c, mtf_real eps)
{
    for (int64_t i = 0; i < m; i++) {
        mtf_real *out = y + i * c;
        mtf_real *held = sum != NULL ? sum + i * c : out;
        const mtf_real *in = x + i * c;
        for (int64_t j = 0; j < c; j++) {
            held[j] = residual != NULL ? in[j] + residual[i * c + j] : in[j];
        }
        mtf_real mean = row_sum(held, c) / (mtf_real)c;
        mtf_real rstd = 1 / mtf_sqrt(row_sum_squares(held, mean, c) / (mtf_real)c + eps);
        for (int64_t j = 0; j < c; j++) {
            out[j] = (held[j] - mean) * rstd * w[j] + (b != NULL ? b[j] : 0);
        }
        if (stats != NULL) {
            stats[2 * i] = mean;
            stats[2 * i + 1] = rstd;
        }
    }
}

void mtf_layernorm_bwd_x_ref(mtf_real *dsum, const mtf_real *dy, const mtf_real *extra,
                             const mtf_real *sum, const mtf_real *stats, const mtf_real *w,
                             int64_t m, int64_t c)
{
    for (int64_t i = 0; i < m; i++) {
        const mtf_real mean = stats[2 * i];
        const mtf_real rstd = stats[2 * i + 1];
        const mtf_real *g = dy + i * c;
        const mtf_real *s = sum + i * c;
        mtf_real acc[REF_LANES] = {0};
        mtf_real acc_n[REF_LANES] = {0};
        int64_t j = 0;
        for (; j + REF_LANES <= c; j += REF_LANES) {
            for (int l = 0; l < REF_LANES; l++) {
                mtf_real gw = g[j + l] * w[j + l];
                acc[l] += gw;
                acc_n[l] += gw * ((s[j + l] - mean) * rstd);
            }
        }
        for (int l = 0; j + l < c; l++) {
            mtf_real gw = g[j + l] * w[j + l];
            acc[l] += gw;
            acc_n[l] += gw * ((s[j + l] - mean) * rstd);
        }
        const mtf_real average = ref_sum_lanes(acc) / (mtf_real)c;
        const mtf_real average_n = ref_sum_lanes(acc_n) / (mtf_real)c;
        for (j = 0; j < c; j++) {
            mtf_real n = (s[j] - mean) * rstd;
            mtf_real d = rstd * (g[j] * w[j] - average - n * average_n);
            dsum[i * c + j] = extra != NULL ? d + extra[i * c + j] : d;
        }
    }
}

void mtf_layernorm_bwd_w_ref(mtf_real *dw, mtf_real *db, const mtf_real *dy, const mtf_real *sum,
                             const mtf_real *stats, int64_t m, int64_t c, int64_t c0, int64_t c1,
                             int add)
{
    for (int64_t j = c0; j < c1 && !add; j++) {
        if (dw != NULL) {
            dw[j] = 0;
        }
        if (db != NULL) {
            db[j] = 0;
        }
    }
    for (int64_t i = 0; i < m; i++) {
        const mtf_real mean = stats[2 * i];
        const mtf_real rstd = stats[2 * i + 1];
        if (dw != NULL) {
            for (int64_t j = c0; j < c1; j++) {
                dw[j] += dy[i * c + j] * ((sum[i * c + j] - mean) * rstd);
            }
        }
        if (db != NULL) {
            for (int64_t j = c0; j < c1; j++) {
                db[j] += dy[i * c + j];
            }
        }
    }
}
