/* openblas.h: the loaded OpenBLAS as gemm.c sees it.
 *
 * Loading is not thread-safe; the product is, also from several threads at once.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_OPENBLAS_H
#define MTF_BLAS_OPENBLAS_H

#include "../include/mtfreeze.h"

/* Opens the library with local symbols and sets it to one thread. A second call with the same path
 * does nothing; with another path it is MTF_ERR_STATE. */
MTF_NODISCARD mtf_status mtf_openblas_load(const char *path, mtf_error *err);
int mtf_openblas_is_loaded(void);
/* "openblas" and the library's own version text, or "reference". */
const char *mtf_openblas_text(void);
/* c (M,N) = op(a) . op(b) + beta * c, row major; op(a) is (M,K), op(b) is (K,N); transposed
 * operands are stored the other way round. All sizes and strides must fit in an int. */
void mtf_openblas_gemm(mtf_real *c, int64_t ldc, const mtf_real *a, int64_t lda, int transpose_a,
                       const mtf_real *b, int64_t ldb, int transpose_b, int64_t m, int64_t n,
                       int64_t k, mtf_real beta);

#endif
