/* check.h: does a row's result depend on the rows around it in a BLAS call? Asked once after loading.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_CHECK_H
#define MTF_BLAS_CHECK_H

#include "../base/status.h"

/* Looks at a few shapes (a few milliseconds) and decides who makes products of rows from then on. */
MTF_NODISCARD mtf_status mtf_gemm_check_rows(mtf_error *err);
/* 1: rows of weights with sides that are multiples of 16 hold, or no BLAS is loaded. */
int mtf_gemm_rows_hold(void);
/* Tests only: as if the look had failed, until the next mtf_gemm_check_rows(). */
void mtf_gemm_distrust_rows(void);

#endif
