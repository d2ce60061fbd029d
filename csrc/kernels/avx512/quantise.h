/* quantise.h: rows of x as bytes, and what sums of bytes are worth; for products with int8 panels.
 *
 *   scale = max |x| / 127,  byte = round(x * (127 / max |x|)) + 128
 *
 * Bytes have no sign, as the dot instruction wants its first operand; 128 times the sum of each
 * column of weights is taken off again. All of it is exact or rounded as in ref/packed.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_QUANTISE_H
#define MTF_KERNELS_AVX512_QUANTISE_H

#include "dot_product.h"

#include <math.h>
#include <string.h>

/* The largest |x| (k) as bits: ordered as the values are, NaN and infinity above all others. */
static inline uint32_t largest(const float *x, int64_t k)
{
    const __m512i size = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i most = _mm512_setzero_si512();
    __m512i most_2 = _mm512_setzero_si512();
    int64_t p = 0;
    for (; p + 32 <= k; p += 32) {
        most = _mm512_max_epu32(most, _mm512_and_si512(size, _mm512_loadu_si512(x + p)));
        most_2 = _mm512_max_epu32(most_2, _mm512_and_si512(size, _mm512_loadu_si512(x + p + 16)));
    }
    for (; p < k; p += 16) {
        const __m512i tail = _mm512_maskz_loadu_epi32(dot_lanes(k - p), x + p);
        most = _mm512_max_epu32(most, _mm512_and_si512(size, tail));
    }
    return _mm512_reduce_max_epu32(_mm512_max_epu32(most, most_2));
}

/* The scale of the row x (k): 0 for one below MTF_INT8_LEAST, NaN for one that is not finite.
 * *factor makes x whole numbers; *usable is k, or 0 where the row counts as zeros. */
static inline float scale_of(const float *x, int64_t k, __m512 *factor, int64_t *usable)
{
    const uint32_t bits = largest(x, k);
    float most;
    memcpy(&most, &bits, sizeof most);
    const int finite = bits < UINT32_C(0x7F800000);
    const int some = finite && most >= MTF_INT8_LEAST;
    *factor = _mm512_set1_ps(some ? 127.0F / most : 0);
    *usable = some ? k : 0;
    return !finite ? NAN : some ? most / 127.0F : 0;
}

static inline __m512i whole_numbers(__m512 x, __m512 factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(x, factor));
}

/* The first 64 terms of x (left) as bytes; those past its end are 128, zero. */
static inline __m512i quantise(const float *x, int64_t left, __m512 factor)
{
    __m512 part[4];
    for (int i = 0; i < 4; i++) {
        part[i] = left >= 64 ? _mm512_loadu_ps(x + 16 * i)
                             : _mm512_maskz_loadu_ps(dot_lanes(left - 16 * i), x + 16 * i);
    }
    /* both packs interleave quarters of their operands */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i low =
        _mm512_packs_epi32(whole_numbers(part[0], factor), whole_numbers(part[1], factor));
    const __m512i high =
        _mm512_packs_epi32(whole_numbers(part[2], factor), whole_numbers(part[3], factor));
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
    return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

/* Row i of x as it lies, or gathered into `row` (K). */
static inline const float *flat_row(const dot_product *d, int64_t i, float *row)
{
    const float *x = d->x + i * d->xi;
    for (int64_t p = 0; d->xp != 1 && p < d->k; p++) {
        row[p] = x[p * d->xp];
    }
    return d->xp != 1 ? row : x;
}

/* What sixteen sums are worth, on top of what y holds where the product is added. */
static inline __m512 value_of_sums(const dot_tile *t, int64_t row, int column, __m512i sums)
{
    const __m512i columns = _mm512_loadu_si512(t->sums + column);
    const __m512i exact = _mm512_sub_epi32(sums, _mm512_slli_epi32(columns, 7));
    const __m512 scale = _mm512_loadu_ps(t->scale + column);
    const __m512 step = _mm512_mul_ps(_mm512_set1_ps(t->row_scale[row]), scale);
    const __m512 before = t->add ? dot_before(t, row, column) : _mm512_setzero_ps();
    return _mm512_add_ps(before, _mm512_mul_ps(_mm512_cvtepi32_ps(exact), step));
}

#endif
