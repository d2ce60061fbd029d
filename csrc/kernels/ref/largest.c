/* Reference largest of rows in bf16; the slot largest_halves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "ref.h"

void mtf_largest_halves_ref(uint16_t *y, const uint16_t *const *x /* (n) */, int64_t n, int64_t c)
{
    for (int64_t j = 0; j < c; j++) {
        int16_t largest = INT16_MIN;
        for (int64_t t = 0; t < n; t++) {
            const int16_t one = mtf_bf16_order(x[t][j]);
            largest = one > largest ? one : largest;
        }
        y[j] = mtf_bf16_of_order(largest);
    }
}
