/* relative.h: the relative bias of attention, one value a head for each bucket of distances.
 *
 *   distance n = place of the query - place of the key; half the buckets are for n < 0
 *   of a half, the first e = half / 2 are for |n| = 0 .. e-1, one each; then, up to the last,
 *   e + trunc((half - e) ln(|n| / e) / ln(max_distance / e))
 *
 * As T5 (Raffel et al. 2020) and MPNet have it, both ways, in fp32. The bias depends on i - j only, so
 * kernels take it as one vector over the diagonals (kernels.h), and give its gradient so.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_RELATIVE_H
#define MTF_OPS_RELATIVE_H

#include "ops.h"

/* The most buckets that a table has. */
#define MTF_RELATIVE_MOST 64

/* A table (buckets, heads), and where its buckets begin: the smallest |n| of each of a half. */
typedef struct mtf_relative {
    int64_t n_buckets, n_heads;
    int64_t first[MTF_RELATIVE_MOST / 2];
} mtf_relative;

/* n_buckets even, 4 .. MTF_RELATIVE_MOST; max_distance > n_buckets / 4. */
mtf_relative mtf_relative_of(int64_t n_buckets, int64_t n_heads, int64_t max_distance);
/* diagonals (lq+lk-1): number i - j + lk - 1 is the value for query i and key j, of which the last
 * query stands at the place of the last key. table (n_buckets), of one head, n_heads apart. */
void mtf_relative_spread(mtf_real *diagonals, const mtf_real *table, const mtf_relative *of,
                         int64_t lq, int64_t lk);
/* sums (n_buckets) of diagonals (lq+lk-1), by ascending distance from 0 on both sides. */
void mtf_relative_gather(mtf_real *sums, const mtf_real *diagonals, const mtf_relative *of,
                         int64_t lq, int64_t lk);

#endif
