/* fill.c: the slots of the level AMX (tiles, bf16, int8); the others stay with the
 * level below. SPDX-License-Identifier: Apache-2.0 */
#include "amx.h"

void mtf_kernels_fill_amx(mtf_kernels *table);

void mtf_kernels_fill_amx(mtf_kernels *table)
{
    table->packed_bf16 = mtf_packed_bf16_f32_amx;
    table->affine_product = mtf_affine_product_f32_amx;
    table->packed_int8 = mtf_packed_int8_f32_amx;
}
