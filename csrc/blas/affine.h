/* affine.h: products with bf16 panels and what a convolution does with them, over rows in bf16 or in
 * float: the kernel of a level that has one, else made of its product, its affine and its rounding.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_AFFINE_H
#define MTF_BLAS_AFFINE_H

#include "../kernels/kernels.h"

/* y (M,N) as mtf_affine_product says; work: mtf_affine_product_work() values. */
void mtf_affine_product_run(const mtf_affine_product *p, mtf_real *work);

/* mtf_real elements of `work` for m rows, n columns and k terms at most, at the level in use. */
size_t mtf_affine_product_work(int64_t m, int64_t n, int64_t k);

#endif
