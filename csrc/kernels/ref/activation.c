/* Reference bias and activation, forward and backward.
 *
 *   gelu      x/2 (1 + erf(x / sqrt 2))                               Hendrycks, Gimpel 2016
 *   gelu_new  x/2 (1 + tanh(s)), s = sqrt(2/pi) (x + 0.044715 x^3)    ditto, tanh form
 *   silu      x / (1 + exp(-x));  relu max(x, 0);  tanh;  quick_gelu x / (1 + exp(-1.702 x))
 *   sigmoid   1 / (1 + exp(-x))
 *   relu6     min(max(x, 0), 6)
 *
 * Backward takes the value before the activation. relu'(0) = relu6'(0) = relu6'(6) = 0, as in PyTorch.
 * Precision: that of
 * the C library's functions; tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/real.h"
#include "ref.h"

#define INV_SQRT_2     MTF_R(0.70710678118654752440)
#define INV_SQRT_2PI   MTF_R(0.39894228040143267794)
#define SQRT_2_OVER_PI MTF_R(0.79788456080286535588)
#define GELU_CUBIC     MTF_R(0.044715)
#define QUICK_GELU     MTF_R(1.702)

static mtf_real activate(mtf_real x, mtf_activation act)
{
    const mtf_real half = MTF_R(0.5);
    switch (act) {
    case MTF_ACT_GELU:
        return half * x * (1 + mtf_erf(x * INV_SQRT_2));
    case MTF_ACT_GELU_NEW:
        return half * x * (1 + mtf_tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)));
    case MTF_ACT_RELU:
        return x < 0 ? 0 : x; /* NaN stays NaN */
    case MTF_ACT_TANH:
        return mtf_tanh(x);
    case MTF_ACT_SILU:
        return x / (1 + mtf_exp(-x));
    case MTF_ACT_QUICK_GELU:
        return x / (1 + mtf_exp(-QUICK_GELU * x));
    case MTF_ACT_SIGMOID:
        return 1 / (1 + mtf_exp(-x));
    case MTF_ACT_RELU6:
        return x < 0 ? 0 : x > 6 ? 6 : x;
    case MTF_ACT_NONE:
        break;
    }
    return x;
}

static mtf_real derivative(mtf_real x, mtf_activation act)
{
    const mtf_real half = MTF_R(0.5);
    switch (act) {
    case MTF_ACT_GELU:
        return half * (1 + mtf_erf(x * INV_SQRT_2)) + x * INV_SQRT_2PI * mtf_exp(-half * x * x);
    case MTF_ACT_GELU_NEW: {
        mtf_real t = mtf_tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x));
        mtf_real ds = SQRT_2_OVER_PI * (1 + 3 * GELU_CUBIC * x * x);
        return half * (1 + t) + half * x * (1 - t * t) * ds;
    }
    case MTF_ACT_RELU:
        return x > 0 ? 1 : x <= 0 ? 0 : x; /* NaN stays NaN */
    case MTF_ACT_TANH: {
        mtf_real t = mtf_tanh(x);
        return 1 - t * t;
    }
    case MTF_ACT_SILU: {
        mtf_real s = 1 / (1 + mtf_exp(-x));
        return s * (1 + x * (1 - s));
    }
    case MTF_ACT_QUICK_GELU: {
        mtf_real s = 1 / (1 + mtf_exp(-QUICK_GELU * x));
        return s * (1 + QUICK_GELU * x * (1 - s));
    }
    case MTF_ACT_SIGMOID: {
        mtf_real s = 1 / (1 + mtf_exp(-x));
        return s * (1 - s);
    }
    case MTF_ACT_RELU6:
        return x > 0 && x < 6 ? 1 : x <= 0 || x >= 6 ? 0 : x;
    case MTF_ACT_NONE:
        break;
    }
    return 1;
}

void mtf_bias_act_fwd_ref(mtf_real *y, mtf_real *pre, const mtf_real *b, int64_t m, int64_t n,
                          mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        mtf_real *row = y + i * n;
        if (b != NULL) {
            for (int64_t j = 0; j < n; j++) {
                row[j] += b[j];
            }
        }
        if (pre != NULL) {
            for (int64_t j = 0; j < n; j++) {
                pre[i * n + j] = row[j];
            }
        }
        if (act != MTF_ACT_NONE) {
            for (int64_t j = 0; j < n; j++) {
                row[j] = activate(row[j], act);
            }
        }
    }
}

void mtf_act_bwd_ref(mtf_real *dpre, const mtf_real *dy, const mtf_real *pre, int64_t n,
                     mtf_activation act)
{
    for (int64_t j = 0; j < n; j++) {
        dpre[j] = dy[j] * derivative(pre[j], act);
    }
}
