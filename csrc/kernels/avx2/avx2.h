/* avx2.h: what the AVX2+FMA kernels share: their names, the "compiled with flags" constant, masked
 * tails, sums over lanes. For files of this folder only: they alone get the instruction flags, and
 * every helper is static.
 *
 * Rows end with a masked load or store: nothing is read or written past the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_AVX2_H
#define MTF_KERNELS_AVX2_AVX2_H

#include "../kernels.h"

#include <immintrin.h>

#define MTF_KERNEL(result, name, args) result mtf_##name##_f32_avx2 args;
#include "../kernels.def"
#undef MTF_KERNEL

/* Lets tests ask whether a file really got the flags of its folder. */
#if defined(__AVX2__) && (defined(__FMA__) || defined(_MSC_VER))
#define AVX2_COMPILED(topic)                                                                       \
    extern const int mtf_avx2_compiled_##topic;                                                    \
    const int mtf_avx2_compiled_##topic = 1;
#else
#error "files of kernels/avx2 need the flags of their folder (cmake/isa.cmake)"
#endif

/* All ones in the first n lanes (none when n <= 0, all when n >= 8). */
static inline __m256i first_lanes(int64_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

/* The first n lanes of p (n) (all eight when n >= 8); the others read as 0. A branch, because masked
 * stores are slow on some processors. */
static inline __m256 load_lanes(const float *p, int64_t n)
{
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}

/* The same for writing: p (n). */
static inline void store_lanes(float *p, int64_t n, __m256 x)
{
    if (n >= 8) {
        _mm256_storeu_ps(p, x);
    } else {
        _mm256_maskstore_ps(p, first_lanes(n), x);
    }
}

/* Lanes 0..3 plus 4..7, then halves again: one fixed tree. */
static inline float sum_lanes(__m256 x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float max_lanes(__m256 x)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#endif
