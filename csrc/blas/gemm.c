/* gemm.c: the products of a linear layer; which routine makes them, and in which pieces.
 *
 *   y = x W^T,  dx = dy W,  dw = dy^T x      (W (N,K) for OUT_IN, stored as (K,N) for IN_OUT)
 *
 * The bits of a row of y or dx must not depend on the number of rows. Our own kernels promise it.
 * OpenBLAS keeps it for calls of enough rows, which mtf_gemm_check_rows() looks at once after
 * loading; shorter calls are padded. Where the look fails, all rows go through padded calls of
 * BLOCK_ROWS rows, so that every row is made by a call of one size.
 * dw is cut into tiles by its shape alone; the sum over M stays in one call per tile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gemm.h"

#include "../base/alloc.h"
#include "../base/random.h"
#include "../kernels/kernels.h"
#include "check.h"
#include "openblas.h"

#include <limits.h>
#include <string.h>

#define BLOCK_ROWS 64
#define TILE_ROWS  192
#define TILE_COLS  384
/* Rows in one BLAS call: narrows M to an int; row products are independent of the cut. */
#define MAX_CALL_ROWS ((int64_t)1 << 22)
/* A weight with a side below this goes to our kernels: BLAS takes gemv for them. */
#define MIN_SIDE 16

/* -1: not looked at yet (or no BLAS), 0: rows depend on the row count, 1: they do not. */
static int rows_independent = -1;

static int uses_blas(int64_t n, int64_t k)
{
    return mtf_openblas_is_loaded() && n >= MIN_SIDE && k >= MIN_SIDE && n <= INT_MAX &&
           k <= INT_MAX && n * k >= MTF_BLAS_MIN_WEIGHT;
}

static int64_t padded_rows(void)
{
    return rows_independent == 1 ? MTF_BLAS_MIN_ROWS : BLOCK_ROWS;
}

size_t mtf_linear_work(int64_t n, int64_t k)
{
#if MTF_WITH_OPENBLAS
    return n * k >= MTF_BLAS_MIN_WEIGHT ? (size_t)padded_rows() * (size_t)(n + k) : 0;
#else
    (void)n;
    (void)k;
    return 0;
#endif
}

/* One product of rows: y (M,N) = x (M,K) . b, b (K,N) or, transposed, (N,K). */
typedef struct row_product {
    const mtf_real *b;
    int64_t ldb, n, k;
    int transpose_b;
    int add;
} row_product;

static void call_rows(const row_product *p, mtf_real *y, const mtf_real *x, int64_t m)
{
    mtf_openblas_gemm(y, p->n, x, p->k, 0, p->b, p->ldb, p->transpose_b, m, p->n, p->k,
                      p->add ? 1 : 0);
}

/* m <= rows: the same by way of a call of `rows` rows in work (rows * (N + K)). What is added to
 * goes through the padded call too, since BLAS adds it to partial sums in its own order. */
static void call_padded(const row_product *p, mtf_real *y, const mtf_real *x, int64_t m,
                        int64_t rows, mtf_real *work)
{
    mtf_real *in = work;
    mtf_real *out = work + rows * p->k;
    const size_t y_bytes = (size_t)(m * p->n) * sizeof *y;
    memcpy(in, x, (size_t)(m * p->k) * sizeof *x);
    memset(in + m * p->k, 0, (size_t)((rows - m) * p->k) * sizeof *in);
    if (p->add) {
        memcpy(out, y, y_bytes);
        memset(out + m * p->n, 0, (size_t)((rows - m) * p->n) * sizeof *out);
    }
    call_rows(p, out, in, rows);
    memcpy(y, out, y_bytes);
}

static void multiply_rows(const row_product *p, mtf_real *y, const mtf_real *x, int64_t m,
                          mtf_real *work)
{
    const int64_t pad = padded_rows();
    const int64_t most = rows_independent == 1 ? MAX_CALL_ROWS : BLOCK_ROWS;
    int64_t done = 0;
    while (done < m) {
        int64_t rows = m - done < most ? m - done : most;
        if (rows < pad) {
            call_padded(p, y + done * p->n, x + done * p->k, rows, pad, work);
        } else {
            call_rows(p, y + done * p->n, x + done * p->k, rows);
        }
        done += rows;
    }
}

void mtf_linear_y(mtf_real *y, const mtf_real *x, const mtf_real *w, int64_t m, int64_t n,
                  int64_t k, mtf_layout layout, int add, mtf_real *work)
{
    const int out_in = layout == MTF_LAYOUT_OUT_IN;
    if (uses_blas(n, k)) {
        const row_product p = {w, out_in ? k : n, n, k, out_in, add};
        multiply_rows(&p, y, x, m, work);
        return;
    }
    if (out_in) {
        mtf_kernel->gemm_nt(y, n, x, k, w, k, m, n, k, add);
    } else {
        mtf_kernel->gemm_nn(y, n, x, k, w, n, m, n, k, add);
    }
}

void mtf_linear_dx(mtf_real *dx, const mtf_real *dy, const mtf_real *w, int64_t m, int64_t n,
                   int64_t k, mtf_layout layout, int add, mtf_real *work)
{
    /* the product of y with the roles of N and K, and of the layouts, exchanged */
    mtf_linear_y(dx, dy, w, m, k, n,
                 layout == MTF_LAYOUT_OUT_IN ? MTF_LAYOUT_IN_OUT : MTF_LAYOUT_OUT_IN, add, work);
}

/* Part i of `size` cut into parts of at most `most`, all but the last of one multiple of 16. */
typedef struct cut {
    int64_t n_parts, part;
} cut;

static cut cut_side(int64_t size, int64_t most)
{
    int64_t wanted = (size + most - 1) / most;
    int64_t part = wanted <= 1 ? size : ((size + wanted - 1) / wanted + 15) / 16 * 16;
    cut c = {part == 0 ? 1 : (size + part - 1) / part, part};
    return c;
}

int64_t mtf_linear_dw_tiles(int64_t n, int64_t k, mtf_layout layout)
{
    int64_t rows = layout == MTF_LAYOUT_OUT_IN ? n : k;
    int64_t cols = layout == MTF_LAYOUT_OUT_IN ? k : n;
    return cut_side(rows, TILE_ROWS).n_parts * cut_side(cols, TILE_COLS).n_parts;
}

void mtf_linear_dw(mtf_real *dw, const mtf_real *dy, const mtf_real *x, int64_t m, int64_t n,
                   int64_t k, mtf_layout layout, int64_t tile, int add)
{
    /* dw (rows, cols) = left (M,rows)^T . right (M,cols) */
    const int out_in = layout == MTF_LAYOUT_OUT_IN;
    const int64_t rows = out_in ? n : k;
    const int64_t cols = out_in ? k : n;
    const cut by_row = cut_side(rows, TILE_ROWS);
    const cut by_col = cut_side(cols, TILE_COLS);
    const int64_t r0 = tile / by_col.n_parts * by_row.part;
    const int64_t c0 = tile % by_col.n_parts * by_col.part;
    const int64_t tile_rows = rows - r0 < by_row.part ? rows - r0 : by_row.part;
    const int64_t tile_cols = cols - c0 < by_col.part ? cols - c0 : by_col.part;
    const mtf_real *left = (out_in ? dy : x) + r0;
    const mtf_real *right = (out_in ? x : dy) + c0;
    mtf_real *out = dw + r0 * cols + c0;
    if (m > 0 && m <= INT_MAX && uses_blas(n, k)) {
        mtf_openblas_gemm(out, cols, left, rows, 1, right, cols, 0, tile_rows, tile_cols, m,
                          add ? 1 : 0);
        return;
    }
    mtf_kernel->gemm_tn(out, cols, left, rows, right, cols, tile_rows, tile_cols, m, add);
}

/* Rows 0..m-1 of a call with m rows have the bits of a call with `most` rows. */
static int rows_agree(mtf_real *short_y, const mtf_real *long_y, const mtf_real *x,
                      const mtf_real *w, int64_t m, int64_t n, int64_t k, int transpose_b)
{
    const row_product p = {w, transpose_b ? k : n, n, k, transpose_b, 0};
    call_rows(&p, short_y, x, m);
    return memcmp(short_y, long_y, (size_t)(m * n) * sizeof *long_y) == 0;
}

mtf_status mtf_gemm_check_rows(mtf_error *err)
{
    enum { MOST = 97, SIDE = 256, SHAPES = 2 };
    static const int64_t rows[] = {16, 17, 23, 31, 48, 65, 96};
    static const int64_t shapes[SHAPES][2] = {{SIDE, SIDE}, {SIDE, 2 * SIDE}};
    const size_t n_values = (size_t)(4 * SIDE * SIDE);
    mtf_real *x = mtf_alloc_array(n_values, sizeof *x);
    mtf_real *w = mtf_alloc_array(n_values, sizeof *w);
    mtf_real *y = mtf_alloc_array(2 * MOST * 2 * SIDE, sizeof *y);
    mtf_status status = MTF_OK;
    if (x == NULL || w == NULL || y == NULL) {
        status = mtf_fail_memory(err, 3 * n_values * sizeof *x);
        goto done;
    }
    mtf_random_uniform(x, (int64_t)n_values, 1, 1.0);
    mtf_random_uniform(w, (int64_t)n_values, 2, 1.0);
    rows_independent = 1;
    for (int s = 0; s < 2 * SHAPES && rows_independent; s++) {
        const int64_t n = shapes[s / 2][0];
        const int64_t k = shapes[s / 2][1];
        const row_product whole = {w, s % 2 ? k : n, n, k, s % 2, 0};
        mtf_real *long_y = y + MOST * 2 * SIDE;
        call_rows(&whole, long_y, x, MOST);
        for (size_t r = 0; r < sizeof rows / sizeof *rows && rows_independent; r++) {
            rows_independent = rows_agree(y, long_y, x, w, rows[r], n, k, s % 2);
        }
    }
done:
    mtf_free(x);
    mtf_free(w);
    mtf_free(y);
    return status;
}

int mtf_gemm_rows_independent(void)
{
    return mtf_openblas_is_loaded() ? rows_independent == 1 : 1;
}

void mtf_gemm_set_rows_independent(int yes)
{
    rows_independent = yes != 0;
}
