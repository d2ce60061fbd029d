/* assignment.h: rows and columns of a matrix of costs, one to one, so that their sum is the smallest.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_LOSSES_ASSIGNMENT_H
#define MTF_LOSSES_ASSIGNMENT_H

#include <stddef.h>
#include <stdint.h>

/* Values of `work` that mtf_assign() needs. */
size_t mtf_assign_work(int64_t n, int64_t m);
/* columns (n): that of each row of cost (n,m), all different; n <= m. Costs are finite, and no larger
 * than MTF_MOST_COST. work (mtf_assign_work(n, m)) is heap: numbers of both kinds are kept in it. */
void mtf_assign(int64_t *columns, const double *cost, int64_t n, int64_t m, double *work);

#endif
