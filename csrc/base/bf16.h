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

/* Values as integers in their order: those below -inf, which are NaN, go around to the top, where NaN of
 * the other sign is. */
static inline int16_t mtf_bf16_order(uint16_t half)
{
    const int16_t bits = (int16_t)half;
    const uint16_t ordered = (uint16_t)(bits ^ ((bits >> 15) & 0x7FFF));
    return (int16_t)(uint16_t)(ordered - 0x7F);
}

static inline uint16_t mtf_bf16_of_order(int16_t ordered)
{
    const int16_t bits = (int16_t)(uint16_t)((uint16_t)ordered + 0x7F);
    return (uint16_t)(bits ^ ((bits >> 15) & 0x7FFF));
}

static inline float mtf_bf16_value(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
