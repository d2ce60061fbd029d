/* Products with int8 panels by vpdpbusd; tiles and loops in avx512/dot_tiles.h, bytes and steps in
 * avx512/quantise.h. Sums are exact, so the bits are the reference's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512vnni.h"

#include "../avx512/dot_tiles.h"
#include "../avx512/quantise.h"

AVX512VNNI_COMPILED(packed_int8)

static inline __m512 dot_step(__m512 sum, __m512i x, __m512i w)
{
    return _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sum), x, w));
}

static inline __m512 dot_begin(const dot_tile *t, int64_t row, int column)
{
    (void)t, (void)row, (void)column;
    return _mm512_setzero_ps(); /* the bits of sixteen zeros */
}

static inline __m512 dot_value(const dot_tile *t, int64_t row, int column, __m512 sum)
{
    return value_of_sums(t, row, column, _mm512_castps_si512(sum));
}

static void dot_pack(const dot_product *d, int64_t first, int64_t last)
{
    dot_row *measured = d->rows;
    float *gathered = (float *)(d->work + d->work_groups); /* behind the strips */
    for (int64_t s = first; s < last; s++) {
        const int64_t i = dot_strip_row(d, s);
        const int64_t rows = dot_strip_row(d, s + 1) - i;
        for (int64_t r = 0; r < rows; r++) {
            const float *x = flat_row(d, i + r, gathered);
            uint32_t *to = dot_strip(d, s, first) + r * DOT_STRIDE;
            row_bytes bytes;
            *measured++ = measure_row(x, d->k, &bytes);
            for (int64_t group = 0; group < d->groups; group += 16) {
                const int64_t at = group / DOT_CHUNK * rows * DOT_STRIDE + group % DOT_CHUNK;
                _mm512_storeu_si512(to + at, quantise(x + 4 * group, d->k - 4 * group, &bytes));
            }
        }
    }
}

void mtf_packed_int8_f32_avx512vnni(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi,
                                    int64_t xp, const int8_t *panels, const float *scale,
                                    const int32_t *sums, int64_t m, int64_t n, int64_t k,
                                    const mtf_epilogue *e, mtf_real *work)
{
    dot_product d =
        dot_call_int8(y, ldy, x, xi, xp, panels, scale, sums, m, n, k, e, work, DOT_MOST_ROWS);
    dot_multiply(&d);
}
