/* random.h: counter-based random numbers: a value is a function of its key and counter alone.
 *
 * 64-bit mixing by the finalizer of splitmix64 (Steele, Lea, Flood 2014); 32-bit lanes by
 * "lowbias32" (Wellons 2018), which SIMD kernels repeat bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_RANDOM_H
#define MTF_BASE_RANDOM_H

#include "../include/mtfreeze.h"

/* A new key from a key and a value; order matters. */
static inline uint64_t mtf_random_mix(uint64_t key, uint64_t value)
{
    uint64_t z = key ^ (value + UINT64_C(0x9E3779B97F4A7C15) + (key << 6) + (key >> 2));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 32 random bits of one lane of a row. */
static inline uint32_t mtf_random_lane(uint64_t row_key, uint32_t lane)
{
    uint32_t x = (uint32_t)row_key + lane * UINT32_C(0x9E3779B9);
    x ^= x >> 16;
    x *= UINT32_C(0x7FEB352D);
    x ^= x >> 15;
    x *= UINT32_C(0x846CA68B);
    x ^= x >> 16;
    return x ^ (uint32_t)(row_key >> 32);
}

static inline int mtf_mask_keeps(uint64_t row_key, uint32_t lane, uint32_t threshold)
{
    return mtf_random_lane(row_key, lane) >= threshold;
}

/* Key of a text (FNV-1a, 64 bits). */
uint64_t mtf_random_text_key(const char *text);
/* values (n) uniform in [-bound, bound), exact in float: the same bits on every machine. */
void mtf_random_uniform(mtf_real *values, int64_t n, uint64_t key, double bound);

#endif
