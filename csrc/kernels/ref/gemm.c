/* Reference matrix products for any shape and stride.
 *
 *   nt: y[i][j] = sum_k x[i][k] w[j][k]     nn: y[i][j] = sum_k x[i][k] w[k][j]
 *   tn: y[i][j] = sum_k a[k][i] b[k][j]
 *
 * Every element has one order of summation: nt adds lane by lane (k mod REF_LANES), then the lanes in a
 * fixed tree; nn and tn add k = 0, 1, ... The blocking (4 rows or columns at a time) only shares
 * loads, so an element's bits depend on k's length alone. Precision: one rounding per multiply and
 * per add; tolerance family: gemm. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

#define BLOCK 4

static mtf_real dot(const mtf_real *x, const mtf_real *w, int64_t k)
{
    mtf_real acc[REF_LANES] = {0};
    int64_t p = 0;
    for (; p + REF_LANES <= k; p += REF_LANES) {
        for (int l = 0; l < REF_LANES; l++) {
            acc[l] += x[p + l] * w[p + l];
        }
    }
    for (int l = 0; p + l < k; l++) {
        acc[l] += x[p + l] * w[p + l];
    }
    return ref_sum_lanes(acc);
}

/* Four dots of one x with consecutive rows of w. */
static void dot_block(mtf_real y[BLOCK], const mtf_real *x, const mtf_real *w, int64_t ldw,
                      int64_t k)
{
    mtf_real acc[BLOCK][REF_LANES] = {{0}};
    int64_t p = 0;
    for (; p + REF_LANES <= k; p += REF_LANES) {
        for (int b = 0; b < BLOCK; b++) {
            const mtf_real *row = w + b * ldw + p;
            for (int l = 0; l < REF_LANES; l++) {
                acc[b][l] += x[p + l] * row[l];
            }
        }
    }
    for (int b = 0; b < BLOCK; b++) {
        for (int l = 0; p + l < k; l++) {
            acc[b][l] += x[p + l] * w[b * ldw + p + l];
        }
        y[b] = ref_sum_lanes(acc[b]);
    }
}

void mtf_gemm_nt_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t ldx, const mtf_real *w,
                     int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    for (int64_t i = 0; i < m; i++) {
        const mtf_real *row = x + i * ldx;
        mtf_real *out = y + i * ldy;
        int64_t j = 0;
        for (; j + BLOCK <= n; j += BLOCK) {
            mtf_real sums[BLOCK];
            dot_block(sums, row, w + j * ldw, ldw, k);
            for (int b = 0; b < BLOCK; b++) {
                out[j + b] = add ? out[j + b] + sums[b] : sums[b];
            }
        }
        for (; j < n; j++) {
            mtf_real sum = dot(row, w + j * ldw, k);
            out[j] = add ? out[j] + sum : sum;
        }
    }
}

/* rows x width elements of y: sum over p of x[i * xi + p * xp] * w[p * ldw + j]. */
static void outer_block(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                        const mtf_real *w, int64_t ldw, int rows, int width, int64_t k, int add)
{
    mtf_real acc[BLOCK][REF_LANES] = {{0}};
    if (rows == BLOCK && width == REF_LANES) {
        for (int64_t p = 0; p < k; p++) {
            for (int i = 0; i < BLOCK; i++) {
                mtf_real factor = x[i * xi + p * xp];
                for (int l = 0; l < REF_LANES; l++) {
                    acc[i][l] += factor * w[p * ldw + l];
                }
            }
        }
    } else {
        for (int64_t p = 0; p < k; p++) {
            for (int i = 0; i < rows; i++) {
                for (int l = 0; l < width; l++) {
                    acc[i][l] += x[i * xi + p * xp] * w[p * ldw + l];
                }
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int l = 0; l < width; l++) {
            mtf_real *out = y + i * ldy + l;
            *out = add ? *out + acc[i][l] : acc[i][l];
        }
    }
}

static void outer_product(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                          const mtf_real *w, int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    for (int64_t i = 0; i < m; i += BLOCK) {
        int rows = m - i < BLOCK ? (int)(m - i) : BLOCK;
        for (int64_t j = 0; j < n; j += REF_LANES) {
            int width = n - j < REF_LANES ? (int)(n - j) : REF_LANES;
            outer_block(y + i * ldy + j, ldy, x + i * xi, xi, xp, w + j, ldw, rows, width, k, add);
        }
    }
}

void mtf_gemm_nn_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t ldx, const mtf_real *w,
                     int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    outer_product(y, ldy, x, ldx, 1, w, ldw, m, n, k, add);
}

void mtf_gemm_tn_ref(mtf_real *y, int64_t ldy, const mtf_real *a, int64_t lda, const mtf_real *b,
                     int64_t ldb, int64_t m, int64_t n, int64_t k, int add)
{
    outer_product(y, ldy, a, 1, lda, b, ldb, m, n, k, add);
}
