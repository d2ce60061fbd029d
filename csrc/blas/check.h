/* check.h: does a row's result depend on how many rows a BLAS call has? Asked once after loading.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_CHECK_H
#define MTF_BLAS_CHECK_H

#include "../base/status.h"

/* Looks at a few shapes (below 5 ms) and decides how calls are cut from then on. */
MTF_NODISCARD mtf_status mtf_gemm_check_rows(mtf_error *err);
/* 1: rows were found independent, or no BLAS is loaded (our kernels promise it). */
int mtf_gemm_rows_independent(void);
/* Tests only: takes the other way of cutting. */
void mtf_gemm_set_rows_independent(int yes);

#endif
