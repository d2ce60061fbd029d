/* relative.c: distances to buckets, tables to diagonals, and the gradients back; see relative.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "relative.h"

#include <math.h>

/* Bucket of |distance| within its half. */
static int64_t bucket_of(int64_t n, int64_t half, int64_t max_distance)
{
    const int64_t exact = half / 2;
    if (n < exact) {
        return n;
    }
    if (n >= max_distance) {
        return half - 1;
    }
    const float share =
        logf((float)n / (float)exact) / (float)log((double)max_distance / (double)exact);
    const int64_t bucket = exact + (int64_t)(share * (float)(half - exact));
    return bucket < half ? bucket : half - 1;
}

mtf_relative mtf_relative_of(int64_t n_buckets, int64_t n_heads, int64_t max_distance)
{
    const int64_t half = n_buckets / 2;
    mtf_relative of = {.n_buckets = n_buckets, .n_heads = n_heads};
    for (int64_t b = 0; b < half; b++) {
        int64_t low = 0, high = max_distance; /* buckets grow with the distance */
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (bucket_of(middle, half, max_distance) < b) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        of.first[b] = low;
    }
    return of;
}

/* Where bucket b of a half ends among distances below `longest`. */
static int64_t end_of(const mtf_relative *of, int64_t b, int64_t longest)
{
    return b + 1 < of->n_buckets / 2 && of->first[b + 1] < longest ? of->first[b + 1] : longest;
}

void mtf_relative_spread(mtf_real *diagonals, const mtf_real *table, const mtf_relative *of,
                         int64_t lq, int64_t lk)
{
    const int64_t half = of->n_buckets / 2;
    mtf_real *zero = diagonals + lq - 1; /* distance 0 */
    for (int64_t b = 0; b < half; b++) {
        const mtf_real before = table[b * of->n_heads];
        const mtf_real after = table[(half + b) * of->n_heads];
        for (int64_t n = of->first[b]; n < end_of(of, b, lk); n++) {
            zero[n] = before;
        }
        for (int64_t n = b > 0 ? of->first[b] : 1; n < end_of(of, b, lq); n++) {
            zero[-n] = after;
        }
    }
}

void mtf_relative_gather(mtf_real *sums, const mtf_real *diagonals, const mtf_relative *of,
                         int64_t lq, int64_t lk)
{
    const int64_t half = of->n_buckets / 2;
    const mtf_real *zero = diagonals + lq - 1;
    for (int64_t b = 0; b < half; b++) {
        sums[b] = sums[half + b] = 0;
        for (int64_t n = of->first[b]; n < end_of(of, b, lk); n++) {
            sums[b] += zero[n];
        }
        for (int64_t n = b > 0 ? of->first[b] : 1; n < end_of(of, b, lq); n++) {
            sums[half + b] += zero[-n];
        }
    }
}
