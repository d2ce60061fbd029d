/* Products with int8 panels by tdpbusd; loops in tile_product.h, bytes and steps in
 * avx512/quantise.h. Sums are exact, so the bits are the reference's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "amx.h"

#define TILE_SUMS_ARE_VALUES 0 /* but integers: what y holds is added at the end */
#define TILE_DOT(sums, x, w) tile_dot_bytes(sums, x, w)
#include "tile_product.h"

#include "../avx512/quantise.h"

AMX_COMPILED(packed_int8)

static inline __m512 tile_value(const dot_tile *t, int64_t row, int column, __m512 sums)
{
    return value_of_sums(t, row, column, _mm512_castps_si512(sums));
}

static void tile_pack(const dot_product *d, uint32_t *strip, int64_t s, int64_t rows,
                      int64_t in_block)
{
    float *gathered = (float *)(d->work + d->work_groups); /* behind the strips */
    for (int64_t r = 0; r < STRIP_ROWS; r++) {
        const float *x = r < rows ? flat_row(d, s * STRIP_ROWS + r, gathered) : NULL;
        row_bytes bytes = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        if (r < rows) {
            d->rows[in_block + r] = measure_row(x, d->k, &bytes);
        }
        for (int64_t p = 0; p < d->k; p += 4 * STEP_GROUPS) {
            uint32_t *to = strip + p / (4 * STEP_GROUPS) * STEP_SIZE + r * STEP_GROUPS;
            _mm512_storeu_si512(to, x == NULL ? _mm512_setzero_si512()
                                              : quantise(x + p, d->k - p, &bytes));
        }
    }
}

void mtf_packed_int8_f32_amx(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                             const int8_t *panels, const float *scale, const int32_t *sums,
                             int64_t m, int64_t n, int64_t k, const mtf_epilogue *e, mtf_real *work)
{
    const dot_product d =
        dot_call_int8(y, ldy, x, xi, xp, panels, scale, sums, m, n, k, e, work, BLOCK_ROWS);
    tile_multiply_all(&d);
}
