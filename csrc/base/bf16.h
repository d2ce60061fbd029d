/* bf16.h: bfloat16, the upper half of a float: 8 bits of exponent, 7 of fraction.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_BF16_H
#define MTF_BASE_BF16_H

#include <stdint.h>
#include <string.h>

/* Rounded to nearest, ties to even. NaN stays NaN (quiet), overflow gives infinity. */
static inline uint16_t mtf_bf16_round(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & UINT32_C(0x7FFFFFFF)) > UINT32_C(0x7F800000)) {
        return (uint16_t)((bits >> 16) | 0x40);
    }
    return (uint16_t)((bits + UINT32_C(0x7FFF) + ((bits >> 16) & 1)) >> 16);
}

static inline float mtf_bf16_value(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
