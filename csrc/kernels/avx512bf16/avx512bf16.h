/* avx512bf16.h: what the kernels of the level AVX-512 with dot products of bf16 share: their
 * names and the "compiled with flags" constant. For files of this folder only: they alone get the
 * instruction flags. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512BF16_AVX512BF16_H
#define MTF_KERNELS_AVX512BF16_AVX512BF16_H

#include "../kernels.h"

#include <immintrin.h>

#define MTF_KERNEL(result, name, args) result mtf_##name##_f32_avx512bf16 args;
#include "../kernels.def"
#undef MTF_KERNEL

/* Lets tests ask whether a file really got the flags of its folder. */
#if defined(__AVX512BF16__) || defined(_MSC_VER)
#define AVX512BF16_COMPILED(topic)                                                                 \
    extern const int mtf_avx512bf16_compiled_##topic;                                              \
    const int mtf_avx512bf16_compiled_##topic = 1;
#else
#error "files of kernels/avx512bf16 need the flags of their folder (cmake/isa.cmake)"
#endif

#endif
