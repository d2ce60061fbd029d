/* avx512.h: what the AVX-512 (F, BW, DQ, VL) kernels share: their names, the "compiled with flags"
 * constant, masked tails, sums over lanes. For files of this folder only: they alone get the
 * instruction flags, and every helper is static.
 *
 * Rows end with a masked load or store: nothing is read or written past the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_AVX512_H
#define MTF_KERNELS_AVX512_AVX512_H

#include "../kernels.h"

#include <immintrin.h>

#define MTF_KERNEL(result, name, args) result mtf_##name##_f32_avx512 args;
#include "../kernels.def"
#undef MTF_KERNEL

/* Lets tests ask whether a file really got the flags of its folder. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define AVX512_COMPILED(topic)                                                                     \
    extern const int mtf_avx512_compiled_##topic;                                                  \
    const int mtf_avx512_compiled_##topic = 1;
#else
#error "files of kernels/avx512 need the flags of their folder (cmake/isa.cmake)"
#endif

/* The first n lanes (none when n <= 0, all when n >= 16). */
static inline __mmask16 first_lanes(int64_t n)
{
    const unsigned bits = n >= 16 ? 0xFFFFU : n <= 0 ? 0 : (1U << n) - 1;
    return (__mmask16)bits;
}

/* The first n lanes of p (n) (all sixteen when n >= 16); the others read as 0. */
static inline __m512 load_lanes(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

/* The same for writing: p (n). A branch, because masked stores are slow on some processors. */
static inline void store_lanes(float *p, int64_t n, __m512 x)
{
    if (n >= 16) {
        _mm512_storeu_ps(p, x);
    } else {
        _mm512_mask_storeu_ps(p, first_lanes(n), x);
    }
}

/* Lanes 0..7 plus 8..15, then as in avx2.h: one fixed tree. */
static inline float sum_lanes(__m512 x)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#endif
