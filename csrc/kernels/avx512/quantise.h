/* quantise.h: rows of x as bytes, and what sums of bytes are worth; for products with int8 panels.
 *
 *   half = (max x)/2 - (min x)/2,  step = half / 127.5,  byte = round((x - min x)/2 * (255 / half))
 *
 * Halves, since the range of a row of large values may be beyond floats. A byte is 0 .. 255, as the
 * dot instruction wants its first operand; what `min x` of every term adds to a product is `min x`
 * times the sum of a column of weights. All of it is exact or rounded as in ref/packed.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_QUANTISE_H
#define MTF_KERNELS_AVX512_QUANTISE_H

#include "../../base/compiler.h"
#include "dot_product.h"

#include <math.h>

/* What makes bytes of a row: (x / 2 - half_low) * factor. */
typedef struct row_bytes {
    __m512 half_low, factor;
} row_bytes;

/* The row x (k): how bytes stand for it, and how to make them. A row whose half range is below
 * MTF_INT8_LEAST has step 0 and bytes 0; one that is not finite has step NaN. */
static inline dot_row measure_row(const float *x, int64_t k, row_bytes *bytes)
{
    const __m512 any = _mm512_set1_ps(k > 0 ? x[0] : 0);
    const __m512 zero = _mm512_setzero_ps();
    __m512 least = any, least_2 = any, most = any, most_2 = any;
    __m512 zeros = zero, zeros_2 = zero; /* x * 0 is NaN where x is not finite */
    int64_t p = 0;
    for (; p + 32 <= k; p += 32) {
        const __m512 first = _mm512_loadu_ps(x + p);
        const __m512 second = _mm512_loadu_ps(x + p + 16);
        least = _mm512_min_ps(least, first), least_2 = _mm512_min_ps(least_2, second);
        most = _mm512_max_ps(most, first), most_2 = _mm512_max_ps(most_2, second);
        zeros = _mm512_fmadd_ps(first, zero, zeros);
        zeros_2 = _mm512_fmadd_ps(second, zero, zeros_2);
    }
    for (; p < k; p += 16) {
        const __m512 tail = _mm512_mask_loadu_ps(any, dot_lanes(k - p), x + p);
        least = _mm512_min_ps(least, tail);
        most = _mm512_max_ps(most, tail);
        zeros = _mm512_fmadd_ps(tail, zero, zeros);
    }
    const __m512 all_zeros = _mm512_add_ps(zeros, zeros_2);
    const int finite = _mm512_cmp_ps_mask(all_zeros, zero, _CMP_EQ_OQ) == 0xFFFF;
    const float low = finite ? _mm512_reduce_min_ps(_mm512_min_ps(least, least_2)) : 0;
    const float high = finite ? _mm512_reduce_max_ps(_mm512_max_ps(most, most_2)) : 0;
    const float half = 0.5F * high - 0.5F * low;
    const int varies = half >= MTF_INT8_LEAST;
    bytes->half_low = _mm512_set1_ps(0.5F * low);
    bytes->factor = _mm512_set1_ps(varies ? 255.0F / half : 0);
    return (dot_row){.low = low, .step = !finite ? NAN : varies ? half / 127.5F : 0};
}

static inline __m512i whole_numbers(__m512 x, const row_bytes *bytes)
{
    const __m512 above = _mm512_fmsub_ps(x, _mm512_set1_ps(0.5F), bytes->half_low);
    return _mm512_cvtps_epi32(_mm512_mul_ps(above, bytes->factor));
}

/* The first 64 terms of x (left) as bytes; those past its end are of no use, their weights are 0. */
static inline __m512i quantise(const float *x, int64_t left, const row_bytes *bytes)
{
    __m512 part[4];
    for (int i = 0; i < 4; i++) {
        part[i] = left >= 64 ? _mm512_loadu_ps(x + 16 * i)
                             : _mm512_maskz_loadu_ps(dot_lanes(left - 16 * i), x + 16 * i);
    }
    /* both packs interleave quarters of their operands */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i low =
        _mm512_packs_epi32(whole_numbers(part[0], bytes), whole_numbers(part[1], bytes));
    const __m512i high =
        _mm512_packs_epi32(whole_numbers(part[2], bytes), whole_numbers(part[3], bytes));
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
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
    MTF_IN_REGISTER(sums);
    const __m512 low = _mm512_set1_ps(t->rows[row].low);
    const __m512 scale = _mm512_loadu_ps(t->scale + column);
    const __m512 weights = _mm512_cvtepi32_ps(_mm512_loadu_si512(t->sums + column));
    const __m512 step = _mm512_mul_ps(_mm512_set1_ps(t->rows[row].step), scale);
    const __m512 above = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), step);
    const __m512 value = _mm512_fmadd_ps(low, _mm512_mul_ps(scale, weights), above);
    const __m512 before = t->add ? dot_before(t, row, column) : _mm512_setzero_ps();
    return _mm512_add_ps(before, value);
}

#endif
