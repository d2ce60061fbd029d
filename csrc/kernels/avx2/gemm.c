/* Matrix products for the shapes that do not go to BLAS; shapes and strides as in ref/gemm.c.
 *
 * nt: tiles of 3 rows x 4 columns, each element one register of eight partial sums (k mod 8), added
 *     up in one fixed tree. nn, tn: tiles of 6 rows x 16 columns, k in order, fused.
 * A tile at the edge repeats its last row (or masks lanes) and stores what exists, so an element's
 * bits depend on K alone, never on its place or on M. Nothing is packed: operands are narrow.
 * Precision: fused multiply-adds in float. SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

AVX2_COMPILED(gemm)

#define NT_ROWS      3
#define NT_COLS      4
#define NN_ROWS      6
#define PANEL_VALUES 32768

static inline int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

/* Sums over lanes of four registers, in one fixed tree. */
static inline __m128 sum_lanes_of_four(const __m256 a[NT_COLS])
{
    const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

/* One tile; x and w give the addresses of its rows. */
static inline void nt_sums(__m128 sums[NT_ROWS], const float *const x[NT_ROWS],
                           const float *const w[NT_COLS], int64_t k)
{
    __m256 acc[NT_ROWS][NT_COLS];
    for (int r = 0; r < NT_ROWS; r++) {
        for (int c = 0; c < NT_COLS; c++) {
            acc[r][c] = _mm256_setzero_ps();
        }
    }
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) {
        const __m256 x0 = _mm256_loadu_ps(x[0] + p);
        const __m256 x1 = _mm256_loadu_ps(x[1] + p);
        const __m256 x2 = _mm256_loadu_ps(x[2] + p);
        for (int c = 0; c < NT_COLS; c++) {
            const __m256 wc = _mm256_loadu_ps(w[c] + p);
            acc[0][c] = _mm256_fmadd_ps(x0, wc, acc[0][c]);
            acc[1][c] = _mm256_fmadd_ps(x1, wc, acc[1][c]);
            acc[2][c] = _mm256_fmadd_ps(x2, wc, acc[2][c]);
        }
    }
    if (p < k) {
        const __m256i tail = first_lanes(k - p);
        for (int c = 0; c < NT_COLS; c++) {
            const __m256 wc = _mm256_maskload_ps(w[c] + p, tail);
            for (int r = 0; r < NT_ROWS; r++) {
                acc[r][c] = _mm256_fmadd_ps(_mm256_maskload_ps(x[r] + p, tail), wc, acc[r][c]);
            }
        }
    }
    for (int r = 0; r < NT_ROWS; r++) {
        sums[r] = sum_lanes_of_four(acc[r]);
    }
}

/* y (M,N) for a few rows w (N,K). */
static void nt_panel(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                     int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    for (int64_t i = 0; i < m; i += NT_ROWS) {
        const float *x_rows[NT_ROWS];
        for (int r = 0; r < NT_ROWS; r++) {
            x_rows[r] = x + at_most(i + r, m - 1) * ldx;
        }
        for (int64_t j = 0; j < n; j += NT_COLS) {
            const float *w_rows[NT_COLS];
            for (int c = 0; c < NT_COLS; c++) {
                w_rows[c] = w + at_most(j + c, n - 1) * ldw;
            }
            __m128 sums[NT_ROWS];
            nt_sums(sums, x_rows, w_rows, k);
            for (int r = 0; r < NT_ROWS && i + r < m; r++) {
                float *out = y + (i + r) * ldy + j;
                __m128 sum = sums[r];
                if (n - j >= NT_COLS) {
                    sum = add ? _mm_add_ps(_mm_loadu_ps(out), sum) : sum;
                    _mm_storeu_ps(out, sum);
                } else {
                    const __m128i lanes = _mm256_castsi256_si128(first_lanes(n - j));
                    sum = add ? _mm_add_ps(_mm_maskload_ps(out, lanes), sum) : sum;
                    _mm_maskstore_ps(out, lanes, sum);
                }
            }
        }
    }
}

void mtf_gemm_nt_f32_avx2(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                          int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    /* as many rows of w at a time as a second-level cache holds beside x */
    int64_t panel = PANEL_VALUES / (k > 0 ? k : 1) / NT_COLS * NT_COLS;
    panel = panel < NT_COLS ? NT_COLS : panel;
    for (int64_t j = 0; j < n; j += panel) {
        nt_panel(y + j, ldy, x, ldx, w + j * ldw, ldw, m, at_most(panel, n - j), k, add);
    }
}

/* out[r][h] = 6 x 16 sums over p of x[r][p * xp] * w[p][0..15], of which `left` columns exist. The
 * sums are local, so that compilers keep them in registers. */
static inline void nn_sums(__m256 out[NN_ROWS][2], const float *const x[NN_ROWS], int64_t xp,
                           const float *w, int64_t ldw, int64_t k, int64_t left)
{
    const __m256i lanes0 = first_lanes(left);
    const __m256i lanes1 = first_lanes(left - 8);
    const int whole = left >= 16;
    __m256 acc[NN_ROWS][2];
    for (int r = 0; r < NN_ROWS; r++) {
        acc[r][0] = _mm256_setzero_ps();
        acc[r][1] = _mm256_setzero_ps();
    }
    for (int64_t p = 0; p < k; p++) {
        const float *wp = w + p * ldw;
        const __m256 w0 = whole ? _mm256_loadu_ps(wp) : _mm256_maskload_ps(wp, lanes0);
        const __m256 w1 = whole ? _mm256_loadu_ps(wp + 8) : _mm256_maskload_ps(wp + 8, lanes1);
        for (int r = 0; r < NN_ROWS; r++) {
            const __m256 factor = _mm256_broadcast_ss(x[r] + p * xp);
            acc[r][0] = _mm256_fmadd_ps(factor, w0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(factor, w1, acc[r][1]);
        }
    }
    for (int r = 0; r < NN_ROWS; r++) {
        out[r][0] = acc[r][0];
        out[r][1] = acc[r][1];
    }
}

/* y (M,N) = sum over p of x[i * xi + p * xp] * w[p * ldw + j]. */
static void outer_product(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                          const float *w, int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    for (int64_t j = 0; j < n; j += 16) {
        for (int64_t i = 0; i < m; i += NN_ROWS) {
            const float *rows[NN_ROWS];
            for (int r = 0; r < NN_ROWS; r++) {
                rows[r] = x + at_most(i + r, m - 1) * xi;
            }
            __m256 acc[NN_ROWS][2];
            nn_sums(acc, rows, xp, w + j, ldw, k, n - j);
            for (int r = 0; r < NN_ROWS && i + r < m; r++) {
                for (int h = 0; h < 2; h++) {
                    const int64_t left = n - j - 8 * h;
                    float *out = y + (i + r) * ldy + j + 8 * h;
                    __m256 sum = acc[r][h];
                    sum = add ? _mm256_add_ps(load_lanes(out, left), sum) : sum;
                    store_lanes(out, left, sum);
                }
            }
        }
    }
}

void mtf_gemm_nn_f32_avx2(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                          int64_t ldw, int64_t m, int64_t n, int64_t k, int add)
{
    outer_product(y, ldy, x, ldx, 1, w, ldw, m, n, k, add);
}

void mtf_gemm_tn_f32_avx2(float *y, int64_t ldy, const float *a, int64_t lda, const float *b,
                          int64_t ldb, int64_t m, int64_t n, int64_t k, int add)
{
    outer_product(y, ldy, a, 1, lda, b, ldb, m, n, k, add);
}
