/* One more level for the tests of kernels: AMX with emulated tiles (amx_emulation.h), where the CPU
 * has what the rest of these kernels needs. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_AMX_LEVEL_H
#define MTF_AMX_LEVEL_H

#include "kernels/kernels.h"

void emulated_packed_bf16(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                          const uint16_t *panels, int64_t m, int64_t n, int64_t k,
                          const mtf_epilogue *e, mtf_real *work);
void emulated_packed_int8(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                          const int8_t *panels, const float *scale, const int32_t *sums, int64_t m,
                          int64_t n, int64_t k, const mtf_epilogue *e, mtf_real *work);

void emulated_affine_product(const mtf_affine_product *p, mtf_real *work);

/* tables[n] = the level below with the products of AMX; how many there are then. */
static inline int add_emulated_amx(mtf_kernels *tables, int n)
{
    if (!mtf_kernels_fill(&tables[n], "avx512bf16")) {
        return n;
    }
    tables[n].isa = "amx (emulated)";
    tables[n].packed_bf16 = emulated_packed_bf16;
    tables[n].packed_int8 = emulated_packed_int8;
    tables[n].affine_product = emulated_affine_product;
    return n + 1;
}

#endif
