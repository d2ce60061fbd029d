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

int64_t mtf_relative_bucket(int64_t distance, int64_t n_buckets, int64_t max_distance)
{
    const int64_t half = n_buckets / 2;
    return distance < 0 ? half + bucket_of(-distance, half, max_distance)
                        : bucket_of(distance, half, max_distance);
}

void mtf_relative_spread(mtf_real *diagonals, const mtf_real *table, const mtf_relative *of,
                         int64_t lq, int64_t lk)
{
    const int64_t half = of->n_buckets / 2;
    mtf_real *zero = diagonals + lq - 1; /* distance 0 */
    for (int64_t n = 0; n < lq || n < lk; n++) {
        const int64_t bucket = bucket_of(n, half, of->max_distance);
        if (n < lk) {
            zero[n] = table[bucket * of->n_heads];
        }
        if (n > 0 && n < lq) {
            zero[-n] = table[(half + bucket) * of->n_heads];
        }
    }
}

void mtf_relative_gather(mtf_real *sums, const mtf_real *diagonals, const mtf_relative *of,
                         int64_t lq, int64_t lk)
{
    const int64_t half = of->n_buckets / 2;
    const mtf_real *zero = diagonals + lq - 1;
    for (int64_t b = 0; b < of->n_buckets; b++) {
        sums[b] = 0;
    }
    for (int64_t n = 0; n < lq || n < lk; n++) {
        const int64_t bucket = bucket_of(n, half, of->max_distance);
        if (n < lk) {
            sums[bucket] += zero[n];
        }
        if (n > 0 && n < lq) {
            sums[half + bucket] += zero[-n];
        }
    }
}
