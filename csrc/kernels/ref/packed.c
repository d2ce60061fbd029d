/* Reference products with packed weights, in float, bf16 and int8; layouts in kernels.def.
 *
 * STRIP_ROWS rows of x are copied into `work` as [term][row], rounded or quantised on the way; then
 * each panel makes a tile of sums, p ascending. Rows share loads only: a row's bits are its own.
 * Precision: one rounding per multiply and per add (bf16: products of two bf16 are exact in float);
 * int8 sums are exact, what they are worth has the roundings of kernels.def. Tolerance family: gemm.
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
            for (int64_t begin = 0; begin < k; begin += MTF_CHAIN) {
                const int64_t end = at_most(begin + MTF_CHAIN, k);
                mtf_real chain[STRIP_ROWS][REF_LANES] = {{0}};
                for (int64_t p = begin; p < end; p++) {
                    for (int r = 0; r < STRIP_ROWS; r++) {
                        const mtf_real factor = work[p * STRIP_ROWS + r];
                        for (int c = 0; c < REF_LANES; c++) {
                            chain[r][c] += factor * w[p * MTF_PANEL + c];
                        }
                    }
                }
                for (int r = 0; r < STRIP_ROWS; r++) {
                    for (int c = 0; c < REF_LANES; c++) {
                        sums[r][c] += chain[r][c];
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

/* How bytes stand for a row of x: value = low + byte * step. */
typedef struct row_bytes {
    mtf_real low, step;
} row_bytes;

/* Column r of q [K][STRIP_ROWS] = a row of x (K), element p at x[p * xp], as bytes. A row whose half
 * range is below MTF_INT8_LEAST has step 0 and bytes 0; one that is not finite has step NaN. Halves,
 * since the range of large values may be beyond floats. */
static row_bytes row_quantise(uint8_t *q, const mtf_real *x, int64_t xp, int64_t k)
{
    mtf_real low = k > 0 ? x[0] : 0;
    mtf_real high = low;
    int finite = 1;
    for (int64_t p = 0; p < k; p++) {
        const mtf_real value = x[p * xp];
        finite = finite && isfinite(value);
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    const mtf_real half = MTF_R(0.5) * high - MTF_R(0.5) * low;
    const int varies = finite && half >= (mtf_real)MTF_INT8_LEAST;
    const mtf_real factor = varies ? MTF_R(255.0) / half : 0;
    for (int64_t p = 0; p < k; p++) {
        const mtf_real above = mtf_fma(x[p * xp], MTF_R(0.5), -(MTF_R(0.5) * low));
        q[p * STRIP_ROWS] = varies ? (uint8_t)nearbyint((double)(above * factor)) : 0;
    }
    return (row_bytes){
        .low = finite ? low : 0,
        .step = !finite  ? (mtf_real)NAN
                : varies ? half / MTF_R(127.5)
                         : 0,
    };
}

/* sums (STRIP_ROWS,REF_LANES) = bytes q [K][STRIP_ROWS] times REF_LANES columns of a panel: exact up
 * to MTF_INT8_MOST_TERMS. */
static void multiply_bytes(int32_t sums[STRIP_ROWS][REF_LANES], const uint8_t *q, const int8_t *w,
                           int64_t k)
{
    for (int64_t p = 0; p < k; p++) {
        const int8_t *four = w + p / 4 * 4 * MTF_PANEL + p % 4;
        for (int r = 0; r < STRIP_ROWS; r++) {
            for (int c = 0; c < REF_LANES; c++) {
                sums[r][c] += q[p * STRIP_ROWS + r] * four[4 * c];
            }
        }
    }
}

void mtf_packed_int8_ref(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                         const int8_t *panels, const float *scale, const int32_t *sums, int64_t m,
                         int64_t n, int64_t k, const mtf_epilogue *e, mtf_real *work)
{
    const int64_t whole = (k + 3) / 4 * 4;
    uint8_t *q = (uint8_t *)work;
    for (int64_t i = 0; i < m; i += STRIP_ROWS) {
        const int64_t rows = at_most(STRIP_ROWS, m - i);
        row_bytes measured[STRIP_ROWS];
        for (int64_t r = 0; r < STRIP_ROWS; r++) { /* a strip at the edge repeats its last row */
            measured[r] = row_quantise(q + r, x + at_most(i + r, m - 1) * xi, xp, k);
        }
        for (int64_t j = 0; j < n; j += REF_LANES) {
            const int64_t width = at_most(REF_LANES, n - j);
            const int8_t *w = panels + j / MTF_PANEL * MTF_PANEL * whole + j % MTF_PANEL * 4;
            int32_t exact[STRIP_ROWS][REF_LANES] = {{0}};
            multiply_bytes(exact, q, w, k);
            mtf_real out[STRIP_ROWS][REF_LANES];
            tile_begin(out, y + i * ldy + j, ldy, rows, width, e->add);
            for (int r = 0; r < STRIP_ROWS; r++) {
                for (int c = 0; c < REF_LANES; c++) {
                    const mtf_real column = (mtf_real)scale[j + c];
                    const mtf_real above = (mtf_real)exact[r][c] * (measured[r].step * column);
                    out[r][c] += mtf_fma(measured[r].low, column * (mtf_real)sums[j + c], above);
                }
            }
            tile_end(y, ldy, out, i, rows, j, width, e);
        }
    }
}
