/* gemm.c: the products of a linear layer; which routine makes them, and in which pieces.
 *
 *   y = x W^T,  dx = dy W,  dw = dy^T x      (W (N,K) for OUT_IN, stored as (K,N) for IN_OUT)
 *
 * The bits of a row of y or dx must depend neither on the number of rows nor on its place among
 * them. Our own kernels promise it. OpenBLAS keeps it on some cores (SkylakeX and later) for calls
 * of enough rows, shorter ones are padded; on others (Haswell, Zen) rows 6..11 of every twelve are
 * added up in another order. mtf_gemm_check_rows() looks at that once after loading, and where it
 * fails, y and dx come from our kernels. No row of dw is shared between calls, so dw may always
 * use OpenBLAS.
 * dw is cut into tiles by its shape alone; the sum over M stays in one call per tile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gemm.h"

#include "../base/alloc.h"
#include "../base/flops.h"
#include "../base/random.h"
#include "../kernels/kernels.h"
#include "check.h"
#include "openblas.h"

#include <limits.h>
#include <string.h>

#define TILE_ROWS 192
#define TILE_COLS 384
/* Rows in one BLAS call: narrows M to an int; row products are independent of the cut. */
#define MAX_CALL_ROWS ((int64_t)1 << 22)
/* A weight with a side below this goes to our kernels: BLAS takes gemv for them. */
#define MIN_SIDE 16

/* Whether OpenBLAS makes rows as they must be: for weights whose sides are multiples of 16, and for
 * others (some cores finish those with other arithmetic at the edges). */
static int rows_hold[2];

static int has_edges(int64_t n, int64_t k)
{
    return n % 16 != 0 || k % 16 != 0;
}

static int uses_blas(int64_t n, int64_t k)
{
    return mtf_openblas_is_loaded() && n >= MIN_SIDE && k >= MIN_SIDE && n <= INT_MAX &&
           k <= INT_MAX && n * k >= MTF_BLAS_MIN_WEIGHT;
}

size_t mtf_linear_work(int64_t n, int64_t k)
{
#if MTF_WITH_OPENBLAS
    return n * k >= MTF_BLAS_MIN_WEIGHT ? MTF_BLAS_MIN_ROWS * (size_t)(n + k) : 0;
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

/* m < MTF_BLAS_MIN_ROWS: the same by way of a call of that many rows in work. What is added to goes
 * through the padded call too, since BLAS adds it to partial sums in its own order. */
static void call_padded(const row_product *p, mtf_real *y, const mtf_real *x, int64_t m,
                        mtf_real *work)
{
    const int64_t rows = MTF_BLAS_MIN_ROWS;
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
    for (int64_t done = 0; done < m; done += MAX_CALL_ROWS) {
        const int64_t rows = m - done < MAX_CALL_ROWS ? m - done : MAX_CALL_ROWS;
        if (rows < MTF_BLAS_MIN_ROWS) {
            call_padded(p, y + done * p->n, x + done * p->k, rows, work);
        } else {
            call_rows(p, y + done * p->n, x + done * p->k, rows);
        }
    }
}

/* y (M,N) = x (M,K) . W^T, or += with add; both products of rows are this one. */
static void product_of_rows(mtf_real *y, const mtf_real *x, const mtf_real *w, int64_t m, int64_t n,
                            int64_t k, mtf_layout layout, int add, mtf_real *work)
{
    const int out_in = layout == MTF_LAYOUT_OUT_IN;
    if (uses_blas(n, k) && rows_hold[has_edges(n, k)]) {
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

void mtf_linear_y(mtf_real *y, const mtf_real *x, const mtf_real *w, int64_t m, int64_t n,
                  int64_t k, mtf_layout layout, int add, mtf_real *work)
{
    mtf_flops_add(MTF_FLOPS_FORWARD, 2 * m * n * k);
    product_of_rows(y, x, w, m, n, k, layout, add, work);
}

void mtf_linear_dx(mtf_real *dx, const mtf_real *dy, const mtf_real *w, int64_t m, int64_t n,
                   int64_t k, mtf_layout layout, int add, mtf_real *work)
{
    mtf_flops_add(MTF_FLOPS_DX, 2 * m * n * k);
    /* the product of y with the roles of N and K, and of the layouts, exchanged */
    product_of_rows(dx, dy, w, m, k, n,
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
    mtf_real *out = dw + r0 * cols + c0;
    if (m == 0) { /* there may be no arrays of rows either */
        for (int64_t r = 0; r < tile_rows && !add; r++) {
            memset(out + r * cols, 0, (size_t)tile_cols * sizeof *out);
        }
        return;
    }
    const mtf_real *left = (out_in ? dy : x) + r0;
    const mtf_real *right = (out_in ? x : dy) + c0;
    mtf_flops_add(MTF_FLOPS_DW, 2 * m * tile_rows * tile_cols);
    if (m <= INT_MAX && uses_blas(n, k)) {
        mtf_openblas_gemm(out, cols, left, rows, 1, right, cols, 0, tile_rows, tile_cols, m,
                          add ? 1 : 0);
        return;
    }
    mtf_kernel->gemm_tn(out, cols, left, rows, right, cols, tile_rows, tile_cols, m, add);
}

/* A call with m rows from row `first` on has the bits of those rows in a call with many. */
static int rows_agree(const row_product *p, mtf_real *short_y, const mtf_real *long_y,
                      const mtf_real *x, int64_t first, int64_t m)
{
    call_rows(p, short_y, x + first * p->k, m);
    return memcmp(short_y, long_y + first * p->n, (size_t)(m * p->n) * sizeof *long_y) == 0;
}

mtf_status mtf_gemm_check_rows(mtf_error *err)
{
    enum { MOST = 97, WIDEST = 512, SHAPES = 3 };
    static const int64_t rows[] = {16, 17, 31, 48, 65, 96};
    static const int64_t shapes[SHAPES][2] = {{256, 256}, {128, 512}, {513, 129}};
    const size_t x_size = MOST * WIDEST;
    const size_t w_size = 513 * 129;
    const size_t y_size = MOST * 513;
    mtf_real *x = mtf_alloc_array(x_size + w_size + 2 * y_size, sizeof *x);
    if (x == NULL) {
        return mtf_fail_memory(err, (x_size + w_size + 2 * y_size) * sizeof *x);
    }
    mtf_real *w = x + x_size;
    mtf_real *long_y = w + w_size;
    mtf_real *short_y = long_y + y_size;
    mtf_random_uniform(x, (int64_t)(x_size + w_size), 1, 1.0);
    rows_hold[0] = 1;
    rows_hold[1] = 1;
    for (int s = 0; s < 2 * SHAPES; s++) {
        const int64_t n = shapes[s / 2][0];
        const int64_t k = shapes[s / 2][1];
        int *holds = &rows_hold[has_edges(n, k)];
        const row_product p = {w, s % 2 ? k : n, n, k, s % 2, 0};
        call_rows(&p, long_y, x, MOST);
        for (size_t r = 0; r < sizeof rows / sizeof *rows && *holds; r++) {
            const int64_t first = r % 2 ? MOST - rows[r] : 0;
            *holds = rows_agree(&p, short_y, long_y, x, first, rows[r]);
        }
    }
    mtf_free(x);
    return MTF_OK;
}

int mtf_gemm_rows_hold(void)
{
    return mtf_openblas_is_loaded() ? rows_hold[0] : 1;
}

void mtf_gemm_distrust_rows(void)
{
    rows_hold[0] = 0;
    rows_hold[1] = 0;
}
