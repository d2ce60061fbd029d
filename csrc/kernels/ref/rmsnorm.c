/* Reference division of groups of columns by their root mean square, the residual sum in front of it.
 *
 *   s = x + residual;  n = s * r,  r = 1/sqrt(avg(s^2) + eps) over the D columns of a group
 *   y = n * (offset + w);  ds = r * (g - n * avg(g * n)) + extra,  g = dy * (offset + w)
 *   dw = sum over rows, and within a row over groups, of dy * n        Zhang, Sennrich 2019
 *
 * Sums over a group in REF_LANES partial sums; sums over rows in order. Tolerance family: reduction.
 * Derivation: docs/derivations/rmsnorm.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/real.h"
#include "ref.h"

static mtf_real sum_squares(const mtf_real *x, int64_t n)
{
    mtf_real acc[REF_LANES] = {0};
    for (int64_t j = 0; j < n; j += REF_LANES) {
        for (int l = 0; l < REF_LANES && j + l < n; l++) {
            acc[l] += x[j + l] * x[j + l];
        }
    }
    return ref_sum_lanes(acc);
}

void mtf_rmsnorm_fwd_ref(mtf_real *y, mtf_real *sum, mtf_real *stats, const mtf_real *x,
                         const mtf_real *residual, const mtf_real *w, int64_t m, int64_t c,
                         int64_t d, mtf_real eps, mtf_real offset)
{
    for (int64_t at = 0; at < m * c; at += d) {
        mtf_real *held = (sum != NULL ? sum : y) + at;
        for (int64_t j = 0; j < d; j++) {
            held[j] = residual != NULL ? x[at + j] + residual[at + j] : x[at + j];
        }
        const mtf_real mean = sum_squares(held, d) / (mtf_real)d;
        const mtf_real r = 1 / mtf_sqrt(mean + eps);
        for (int64_t j = 0; j < d; j++) {
            y[at + j] = held[j] * r * (offset + w[j]);
        }
        if (stats != NULL) {
            stats[at / d] = r;
        }
    }
}

void mtf_rmsnorm_bwd_x_ref(mtf_real *dsum, const mtf_real *dy, const mtf_real *extra,
                           const mtf_real *sum, const mtf_real *stats, const mtf_real *w, int64_t m,
                           int64_t c, int64_t d, mtf_real offset)
{
    for (int64_t at = 0; at < m * c; at += d) {
        const mtf_real r = stats[at / d];
        const mtf_real *s = sum + at;
        const mtf_real *g = dy + at;
        mtf_real acc[REF_LANES] = {0};
        for (int64_t j = 0; j < d; j += REF_LANES) {
            for (int l = 0; l < REF_LANES && j + l < d; l++) {
                acc[l] += g[j + l] * (offset + w[j + l]) * (s[j + l] * r);
            }
        }
        const mtf_real average = ref_sum_lanes(acc) / (mtf_real)d;
        for (int64_t j = 0; j < d; j++) {
            const mtf_real ds = r * (g[j] * (offset + w[j]) - s[j] * r * average);
            dsum[at + j] = extra != NULL ? ds + extra[at + j] : ds;
        }
    }
}

void mtf_rmsnorm_bwd_w_ref(mtf_real *dw, const mtf_real *dy, const mtf_real *sum,
                           const mtf_real *stats, int64_t m, int64_t c, int64_t d, int64_t d0,
                           int64_t d1, int add)
{
    for (int64_t j = d0; j < d1 && !add; j++) {
        dw[j] = 0;
    }
    for (int64_t at = 0; at < m * c; at += d) {
        for (int64_t j = d0; j < d1; j++) {
            dw[j] += dy[at + j] * (sum[at + j] * stats[at / d]);
        }
    }
}
