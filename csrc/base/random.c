/* random.c: keys from texts, and uniform values for new weights.
 * SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

uint64_t mtf_random_text_key(const char *text)
{
    uint64_t key = UINT64_C(0xCBF29CE484222325);
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        key = (key ^ *c) * UINT64_C(0x100000001B3);
    }
    return key;
}

void mtf_random_uniform(mtf_real *values, int64_t n, uint64_t key, double bound)
{
    for (int64_t i = 0; i < n; i++) {
        /* 24 bits: exact in float; rounded to float in the double build too, so that both agree */
        uint64_t bits = mtf_random_mix(key, (uint64_t)i) >> 40;
        double unit = (double)bits * 0x1p-23 - 1.0;
        values[i] = (mtf_real)(float)(unit * bound);
    }
}
