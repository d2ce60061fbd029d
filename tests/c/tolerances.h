/* The tolerances of the C tests, by family, each with its reason. Loosening one is a reviewed
 * change. u = 2^-24 is the unit roundoff of float.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TOLERANCES_H
#define MTF_TOLERANCES_H

#include <math.h>

#define UNIT_ROUNDOFF 0x1p-24

/* gemm: a sum of k products of values within [-1, 1]. Rounding errors behave as a random walk, so
 * u * sqrt(k) times the size sqrt(k) of the sum; 4 covers the worst of thousands of elements. */
#define TOLERANCE_GEMM(k) (4 * UNIT_ROUNDOFF * (8.0 + (double)(k)))

/* bf16 products: every level rounds the operands alike and products of two bf16 are exact in float,
 * so only sums differ, as in gemm; the dot instruction adds a pair of products with a rounding of
 * its own. Denormals, which it takes for zero, are tested by themselves. */
#define TOLERANCE_BF16(k) TOLERANCE_GEMM(k)

/* exp: R13, 2 units in the last place against the correctly rounded value. */
#define TOLERANCE_EXP_ULP 2.0
/* erf and tanh: R13, absolute; both stay within [-1, 1]. */
#define TOLERANCE_ERF 3e-7

/* elementwise: activations and their derivatives are a few multiplications around one exp, erf or
 * tanh: the absolute error of that function times the size of the argument. */
#define TOLERANCE_ACTIVATION(x) (TOLERANCE_ERF * (1.0 + fabs(x)))

/* gelu: the tail of the normal distribution within 1.6e-7, and the rounding of the result. */
#define TOLERANCE_GELU 2e-7

/* reduction: sums of n values in [-1, 1] in another order than the reference. */
#define TOLERANCE_REDUCTION(n) (4 * UNIT_ROUNDOFF * (8.0 + (double)(n)))

/* layer norm: normalised values are of size 1..sqrt(c); mean and variance lose a few u of the
 * row's size, and division by the deviation passes that on. */
#define TOLERANCE_LAYERNORM 4e-6

/* attention: scores of size up to about 10 put 10 u into the exponent; probabilities sum to 1, so
 * outputs stay within the values' size. Gradients add one more product of that kind. */
#define TOLERANCE_ATTENTION     4e-6
#define TOLERANCE_ATTENTION_BWD 3e-5

/* softmax: one exp (2 ulp) and one division, of values up to 1. */
#define TOLERANCE_SOFTMAX 5e-7

#endif
