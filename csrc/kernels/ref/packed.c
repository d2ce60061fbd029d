/* Reference products with packed weights, in float, bf16 and int8; layouts in kernels.def.
 *
 * STRIP_ROWS rows of x are copied into `work` as [term][row], rounded or quantised on the way; then
 * each panel makes a tile of sums, p ascending. Rows share loads only: a row's bits are its own.
 * Precision: one rounding per multiply and per add (bf16: products of two bf16 are exact in float);
 * int8 sums are exact. Tolerance family: gemm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "../../base/real.h"
#include "ref.h"

#define STRIP_ROWS 4

static int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

/* sums (rows,REF_LANES) = y (rows,width) or 0. */
static void tile_begin(mtf_real sums[STRIP_ROWS][REF_LANES], const mtf_real *y, int64_t ldy,
                       int64_t rows, int64_t width, int add)
{
    for (int64_t r = 0; r < STRIP_ROWS; r++) {
        for (int64_t c = 0; c < REF_LANES; c++) {
            sums[r][c] = add && r < rows && c < width ? y[r * ldy + c] : 0;
        }
    }
}

/* Columns j .. j + width - 1 of y (rows,N) take the sums and the epilogue. i: the first row's number. */
static void tile_end(mtf_real *y, int64_t ldy, mtf_real sums[STRIP_ROWS][REF_LANES], int64_t i,
                     int64_t rows, int64_t j, int64_t width, const mtf_epilogue *e)
{
    for (int64_t r = 0; r < rows; r++) {
        mtf_real *to = y + (i + r) * ldy + j;
        for (int64_t c = 0; c < width; c++) {
            to[c] = sums[r][c];
        }
        if (!e->add) {
            mtf_bias_act_fwd_ref(to, e->pre != NULL ? e->pre + (i + r) * ldy + j : NULL,
                                 e->bias != NULL ? e->bias + j : NULL, 1, width, e->activation);
        }
    }
}

/* strip [K][STRIP_ROWS] = rows of x, element (r, p) at x[r * xi + p * xp]; zeros past `rows`. */
static void strip_load(mtf_real *strip, const mtf_real *x, int64_t xi, int64_t xp, int64_t rows,
                       int64_t k)
{
    for (int64_t p = 0; p < k; p++) {
        for (int64_t r = 0; r < STRIP_ROWS; r++) {
            strip[p * STRIP_ROWS + r] = r < rows ? x[r * xi + p * xp] : 0;
        }
    }
}

void mtf_packed_f32_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                        const mtf_real *panels, int64_t m, int64_t n, int64_t k,
                        const mtf_epilogue *e, mtf_real *work)
{
    for (int64_t i = 0; i < m; i += STRIP_ROWS) {
        const int64_t rows = at_most(STRIP_ROWS, m - i);
        strip_load(work, x + i * xi, xi, xp, rows, k);
        for (int64_t j = 0; j < n; j += REF_LANES) {
            const int64_t width = at_most(REF_LANES, n - j);
            const mtf_real *w = panels + j / MTF_PANEL * MTF_PANEL * k + j % MTF_PANEL;
            mtf_real sums[STRIP_ROWS][REF_LANES];
            tile_begin(sums, y + i * ldy + j, ldy, rows, width, e->add);
            for (int64_t p = 0; p < k; p++) {
                for (int r = 0; r < STRIP_ROWS; r++) {
                    const mtf_real factor = work[p * STRIP_ROWS + r];
                    for (int c = 0; c < REF_LANES; c++) {
                        sums[r][c] += factor * w[p * MTF_PANEL + c];
                    }
                }
            }
            tile_end(y, ldy, sums, i, rows, j, width, e);
        }
    }
}

void mtf_packed_bf16_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                         const uint16_t *panels, int64_t m, int64_t n, int64_t k,
                         const mtf_epilogue *e, mtf_real *work)
{
    const int64_t whole = (k + 1) / 2 * 2;
    for (int64_t i = 0; i < m; i += STRIP_ROWS) {
        const int64_t rows = at_most(STRIP_ROWS, m - i);
        strip_load(work, x + i * xi, xi, xp, rows, k);
        for (int64_t p = 0; p < k * STRIP_ROWS; p++) {
            work[p] = (mtf_real)mtf_bf16_value(mtf_bf16_round((float)work[p]));
        }
        for (int64_t j = 0; j < n; j += REF_LANES) {
            const int64_t width = at_most(REF_LANES, n - j);
            const uint16_t *w = panels + j / MTF_PANEL * MTF_PANEL * whole + j % MTF_PANEL * 2;
            mtf_real sums[STRIP_ROWS][REF_LANES];
            tile_begin(sums, y + i * ldy + j, ldy, rows, width, e->add);
            for (int64_t p = 0; p < k; p++) {
                const uint16_t *pair = w + p / 2 * 2 * MTF_PANEL + p % 2;
                for (int r = 0; r < STRIP_ROWS; r++) {
                    const mtf_real factor = work[p * STRIP_ROWS + r];
                    for (int c = 0; c < REF_LANES; c++) {
                        sums[r][c] += factor * (mtf_real)mtf_bf16_value(pair[2 * c]);
                    }
                }
            }
            tile_end(y, ldy, sums, i, rows, j, width, e);
        }
    }
}

/* q [K][STRIP_ROWS] = a strip of x quantised row by row; scale: of each row. A row that is not
 * finite gets scale NaN; one that stays below MTF_INT8_LEAST counts as zeros. */
static void strip_quantise(int8_t *q, mtf_real scale[STRIP_ROWS], const mtf_real *x, int64_t xi,
                           int64_t xp, int64_t rows, int64_t k)
{
    for (int64_t r = 0; r < STRIP_ROWS; r++) {
        mtf_real most = 0;
        int finite = 1;
        for (int64_t p = 0; r < rows && p < k; p++) {
            const mtf_real size = mtf_fabs(x[r * xi + p * xp]);
            finite = finite && isfinite(size);
            most = size > most ? size : most;
        }
        const int zero = !finite || most < (mtf_real)MTF_INT8_LEAST;
        const mtf_real factor = zero ? 0 : 127 / most;
        scale[r] = !finite ? (mtf_real)NAN : zero ? 0 : most / 127;
        for (int64_t p = 0; p < k; p++) {
            q[p * STRIP_ROWS + r] =
                zero || r >= rows ? 0 : (int8_t)nearbyint((double)(x[r * xi + p * xp] * factor));
        }
    }
}

void mtf_packed_int8_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                         const int8_t *panels, const float *scale, const int32_t *sums, int64_t m,
                         int64_t n, int64_t k, const mtf_epilogue *e, mtf_real *work)
{
    (void)sums; /* of use where x is held without sign */
    const int64_t whole = (k + 3) / 4 * 4;
    int8_t *q = (int8_t *)work;
    for (int64_t i = 0; i < m; i += STRIP_ROWS) {
        const int64_t rows = at_most(STRIP_ROWS, m - i);
        mtf_real row_scale[STRIP_ROWS];
        strip_quantise(q, row_scale, x + i * xi, xi, xp, rows, k);
        for (int64_t j = 0; j < n; j += REF_LANES) {
            const int64_t width = at_most(REF_LANES, n - j);
            const int8_t *w = panels + j / MTF_PANEL * MTF_PANEL * whole + j % MTF_PANEL * 4;
            int32_t exact[STRIP_ROWS][REF_LANES] = {{0}};
            for (int64_t p = 0; p < k; p++) {
                const int8_t *four = w + p / 4 * 4 * MTF_PANEL + p % 4;
                for (int r = 0; r < STRIP_ROWS; r++) {
                    for (int c = 0; c < REF_LANES; c++) {
                        exact[r][c] += q[p * STRIP_ROWS + r] * four[4 * c];
                    }
                }
            }
            mtf_real out[STRIP_ROWS][REF_LANES];
            tile_begin(out, y + i * ldy + j, ldy, rows, width, e->add);
            for (int r = 0; r < STRIP_ROWS; r++) {
                for (int c = 0; c < REF_LANES; c++) {
                    out[r][c] += (mtf_real)exact[r][c] * (row_scale[r] * (mtf_real)scale[j + c]);
                }
            }
            tile_end(y, ldy, out, i, rows, j, width, e);
        }
    }
}
