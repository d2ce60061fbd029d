/* Reference rotation of pairs of columns: one row of heads, each turned by the same angles.
 *
 *   y1 = x1 cos - x2 sin      y2 = x2 cos + x1 sin                         Su et al. 2021
 *
 * x1 and x2 are the halves of a head's first 2 * half columns; the others are copied. Elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

void mtf_rotary_row_ref(mtf_real *y, const mtf_real *x, const mtf_real *cosines,
                        const mtf_real *sines, int64_t n_heads, int64_t d, int64_t half, int add)
{
    for (int64_t h = 0; h < n_heads; h++) {
        const mtf_real *first = x + h * d;
        const mtf_real *second = first + half;
        mtf_real *out = y + h * d;
        for (int64_t k = 0; k < half; k++) {
            const mtf_real y1 = first[k] * cosines[k] - second[k] * sines[k];
            const mtf_real y2 = second[k] * cosines[k] + first[k] * sines[k];
            out[k] = add ? out[k] + y1 : y1;
            out[half + k] = add ? out[half + k] + y2 : y2;
        }
        for (int64_t k = 2 * half; k < d; k++) {
            out[k] = add ? out[k] + first[k] : first[k];
        }
    }
}
