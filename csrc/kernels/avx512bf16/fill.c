/* fill.c: the slots of the level AVX-512 with dot products of bf16; the others stay with the
 * level below. SPDX-License-Identifier: Apache-2.0 */
#include "avx512bf16.h"

void mtf_kernels_fill_avx512bf16(mtf_kernels *table);

void mtf_kernels_fill_avx512bf16(mtf_kernels *table)
{
    table->packed_bf16 = mtf_packed_bf16_f32_avx512bf16;
}
