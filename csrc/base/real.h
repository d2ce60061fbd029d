/* real.h: the scalar type of reference kernels, operations and the reference product.
 *
 * mtf_real is float in the product and double in the gradient-check build (MTF_REAL_DOUBLE), where
 * finite differences need the digits. The math functions follow the type.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_REAL_H
#define MTF_BASE_REAL_H

#include <float.h>
#include <math.h>

#include "../include/mtfreeze.h"

#ifdef MTF_REAL_DOUBLE
#define MTF_REAL_MAX     DBL_MAX
#define MTF_REAL_EPSILON DBL_EPSILON
#define MTF_R(x)         (x)
#define mtf_exp          exp
#define mtf_erf          erf
#define mtf_tanh         tanh
#define mtf_log          log
#define mtf_sqrt         sqrt
#define mtf_cos          cos
#define mtf_sin          sin
#define mtf_fabs         fabs
#define mtf_fma          fma
#else
#define MTF_REAL_MAX     FLT_MAX
#define MTF_REAL_EPSILON FLT_EPSILON
#define MTF_R(x)         (x##f)
#define mtf_exp          expf
#define mtf_erf          erff
#define mtf_tanh         tanhf
#define mtf_log          logf
#define mtf_sqrt         sqrtf
#define mtf_cos          cosf
#define mtf_sin          sinf
#define mtf_fabs         fabsf
#define mtf_fma          fmaf
#endif

#endif
