/* Rounding rows to bfloat16 and back, for activations that are kept in half the memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "ref.h"

void mtf_bf16_round_ref(uint16_t *y, const mtf_real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = mtf_bf16_round((float)x[i]);
    }
}

void mtf_bf16_widen_ref(mtf_real *y, const uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = mtf_bf16_value(x[i]);
    }
}
