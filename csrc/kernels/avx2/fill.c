/* fill.c: the slots that the AVX2 level implements; the others stay with the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

void mtf_kernels_fill_avx2(mtf_kernels *table);

void mtf_kernels_fill_avx2(mtf_kernels *table)
{
    table->adamw = mtf_adamw_f32_avx2;
}
