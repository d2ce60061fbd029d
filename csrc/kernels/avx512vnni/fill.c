/* fill.c: the slots of the level AVX-512 with dot products of bytes (VNNI); the others stay with
 * the level below. SPDX-License-Identifier: Apache-2.0 */
#include "avx512vnni.h"

void mtf_kernels_fill_avx512vnni(mtf_kernels *table);

void mtf_kernels_fill_avx512vnni(mtf_kernels *table)
{
    table->packed_int8 = mtf_packed_int8_f32_avx512vnni;
}
