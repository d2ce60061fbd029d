/* gemm.h: the matrix products of a linear layer, over OpenBLAS or our own kernels.
 *
 * csrc/blas holds matrix products and the packed forms of weights; it alone knows OpenBLAS. ops/
 * calls the products, plan/ keeps the forms; it calls kernels/ and base/.
 *
 * Which one is decided by the weight's shape, never by the number of rows (M): products with
 * N * K >= MTF_BLAS_MIN_WEIGHT go to OpenBLAS when it is loaded and was found to keep rows apart
 * (check.h), the others to the kernel table. A call with fewer than MTF_BLAS_MIN_ROWS rows is
 * padded to that many, because BLAS takes other paths, with other bits, for small ones. So a row's
 * bits never depend on M or on its place.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_GEMM_H
#define MTF_BLAS_GEMM_H

#include "../include/mtfreeze.h"

typedef enum mtf_layout {
    MTF_LAYOUT_OUT_IN = 0,
    MTF_LAYOUT_IN_OUT = 1,
    MTF_LAYOUT_TAPS = 2 /* of convolutions: (outputs, inputs, taps); over packed forms only */
} mtf_layout;

#define MTF_BLAS_MIN_WEIGHT 65536
#define MTF_BLAS_MIN_ROWS   16

/* mtf_real elements of `work` that mtf_linear_y and mtf_linear_dx need for this weight. */
size_t mtf_linear_work(int64_t n, int64_t k);
/* y (M,N) = x (M,K) . W^T, or += with add. w (N,K) for OUT_IN, (K,N) for IN_OUT. */
void mtf_linear_y(mtf_real *y, const mtf_real *x, const mtf_real *w, int64_t m, int64_t n,
                  int64_t k, mtf_layout layout, int add, mtf_real *work);
/* dx (M,K) = dy (M,N) . W, or += with add. */
void mtf_linear_dx(mtf_real *dx, const mtf_real *dy, const mtf_real *w, int64_t m, int64_t n,
                   int64_t k, mtf_layout layout, int add, mtf_real *work);
/* dw has the shape of w; tile t of mtf_linear_dw_tiles() is a fixed part of it, cut by shape. */
int64_t mtf_linear_dw_tiles(int64_t n, int64_t k, mtf_layout layout);
/* Tile `tile` of dw = dy (M,N)^T . x (M,K) (OUT_IN; its transpose for IN_OUT), or += with add. */
void mtf_linear_dw(mtf_real *dw, const mtf_real *dy, const mtf_real *x, int64_t m, int64_t n,
                   int64_t k, mtf_layout layout, int64_t tile, int add);

#endif
