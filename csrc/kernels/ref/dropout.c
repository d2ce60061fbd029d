/* Reference dropout of one row: a lane is kept or dropped by its counter alone (base/random.h).
 *
 *   y[j] = keeps(row_key, j) ? x[j] / (1 - rate) : 0                       Srivastava et al. 2014
 *
 * The mask is the same bit for bit in every ISA level. A dropped lane is 0 even where x is NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/random.h"
#include "ref.h"

void mtf_dropout_row_ref(mtf_real *y, const mtf_real *x, int64_t n, uint64_t row_key,
                         uint32_t threshold, mtf_real keep_scale, int add)
{
    for (int64_t j = 0; j < n; j++) {
        mtf_real value = mtf_mask_keeps(row_key, (uint32_t)j, threshold) ? x[j] * keep_scale : 0;
        y[j] = add ? y[j] + value : value;
    }
}
