/* amx.h: what the kernels of the level AMX (tiles, bf16, int8) share: their
 * names and the "compiled with flags" constant. For files of this folder only: they alone get the
 * instruction flags. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AMX_AMX_H
#define MTF_KERNELS_AMX_AMX_H

#include "../kernels.h"

#include <immintrin.h>

#define MTF_KERNEL(result, name, args) result mtf_##name##_f32_amx args;
#include "../kernels.def"
#undef MTF_KERNEL

/* y (M,N) as mtf_affine_product says; work: mtf_packed_work(K) values. */
void mtf_affine_product_f32_amx(const mtf_affine_product *p, float *work);

/* Lets tests ask whether a file really got the flags of its folder. */
#if defined(MTF_AMX_EMULATED) /* tiles.h */
#define AMX_COMPILED(topic)
#elif defined(__AMX_INT8__) || defined(__AMXINT8__) ||                                             \
    defined(_MSC_VER) /* as older clang says it */
#define AMX_COMPILED(topic)                                                                        \
    extern const int mtf_amx_compiled_##topic;                                                     \
    const int mtf_amx_compiled_##topic = 1;
#else
#error "files of kernels/amx need the flags of their folder (cmake/isa.cmake)"
#endif

#endif
