/* Bias and activation, forward and backward, eight values at a time; formulas in activation.h.
 *
 * Precision: elementary.h, then fused multiply-adds. Elementwise: nothing depends on place or row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include "avx2.h"

AVX2_COMPILED(activation)

/* One row; always inlined with a constant `act`, so that the switch is outside the loop. */
static inline void finish_row(float *y, float *pre, const float *b, int64_t n, mtf_activation act)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 v = _mm256_loadu_ps(y + j);
        v = b != NULL ? _mm256_add_ps(v, _mm256_loadu_ps(b + j)) : v;
        if (pre != NULL) {
            _mm256_storeu_ps(pre + j, v);
        }
        _mm256_storeu_ps(y + j, activate(v, act));
    }
    if (j < n) {
        const __m256i tail = first_lanes(n - j);
        __m256 v = _mm256_maskload_ps(y + j, tail);
        v = b != NULL ? _mm256_add_ps(v, _mm256_maskload_ps(b + j, tail)) : v;
        if (pre != NULL) {
            _mm256_maskstore_ps(pre + j, tail, v);
        }
        _mm256_maskstore_ps(y + j, tail, activate(v, act));
    }
}

static inline void finish_rows(float *y, float *pre, const float *b, int64_t m, int64_t n,
                               mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        finish_row(y + i * n, pre != NULL ? pre + i * n : NULL, b, n, act);
    }
}

void mtf_bias_act_fwd_f32_avx2(float *y, float *pre, const float *b, int64_t m, int64_t n,
                               mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        finish_rows(y, pre, b, m, n, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_GELU);
        break;
    case MTF_ACT_GELU_NEW:
        finish_rows(y, pre, b, m, n, MTF_ACT_GELU_NEW);
        break;
    case MTF_ACT_RELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_RELU);
        break;
    case MTF_ACT_TANH:
        finish_rows(y, pre, b, m, n, MTF_ACT_TANH);
        break;
    case MTF_ACT_SILU:
        finish_rows(y, pre, b, m, n, MTF_ACT_SILU);
        break;
    case MTF_ACT_QUICK_GELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_QUICK_GELU);
        break;
    case MTF_ACT_SIGMOID:
        finish_rows(y, pre, b, m, n, MTF_ACT_SIGMOID);
        break;
    case MTF_ACT_RELU6:
        finish_rows(y, pre, b, m, n, MTF_ACT_RELU6);
        break;
    }
}

static inline void backward_row(float *dpre, const float *dy, const float *pre, int64_t n,
                                mtf_activation act)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const __m256 slope = derivative(_mm256_loadu_ps(pre + j), act);
        _mm256_storeu_ps(dpre + j, _mm256_mul_ps(_mm256_loadu_ps(dy + j), slope));
    }
    if (j < n) {
        const __m256i tail = first_lanes(n - j);
        const __m256 slope = derivative(_mm256_maskload_ps(pre + j, tail), act);
        _mm256_maskstore_ps(dpre + j, tail, _mm256_mul_ps(_mm256_maskload_ps(dy + j, tail), slope));
    }
}

void mtf_act_bwd_f32_avx2(float *dpre, const float *dy, const float *pre, int64_t n,
                          mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        backward_row(dpre, dy, pre, n, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_GELU);
        break;
    case MTF_ACT_GELU_NEW:
        backward_row(dpre, dy, pre, n, MTF_ACT_GELU_NEW);
        break;
    case MTF_ACT_RELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_RELU);
        break;
    case MTF_ACT_TANH:
        backward_row(dpre, dy, pre, n, MTF_ACT_TANH);
        break;
    case MTF_ACT_SILU:
        backward_row(dpre, dy, pre, n, MTF_ACT_SILU);
        break;
    case MTF_ACT_QUICK_GELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_QUICK_GELU);
        break;
    case MTF_ACT_SIGMOID:
        backward_row(dpre, dy, pre, n, MTF_ACT_SIGMOID);
        break;
    case MTF_ACT_RELU6:
        backward_row(dpre, dy, pre, n, MTF_ACT_RELU6);
        break;
    }
}
