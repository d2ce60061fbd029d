/* The cheapest one-to-one assignment of rows to columns, by shortest augmenting paths.
 *
 *   min sum_i cost[i, columns[i]]     over columns that differ
 *
 * Rows are added one at a time. With prices u of rows and v of columns such that
 *
 *   cost[i,j] - u[i] - v[j] >= 0,   and 0 where i has j,
 *
 * the way from a new row to a free column along which columns change hands at the least cost is found
 * by Dijkstra's method; the prices then follow, so that the law holds for the next row. O(n n m), all
 * in double. Of equal ways the one to the first free column is taken, so a result is one for all.
 * Reference: Jonker, Volgenant 1987; Crouse 2016 for n < m.
 * SPDX-License-Identifier: Apache-2.0 */
#include "assignment.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <math.h>
#include <string.h>

#define MOST_SIDE (INT64_C(1) << 24)

enum { NOBODY = -1 };

/* What is known while rows are added; all (m) but u. */
typedef struct prices {
    const double *cost;
    int64_t n, m;
    double *u /* (n) */, *v;
    double *shortest; /* the least cost so far of a way from the new row to a column */
    int64_t *owner;   /* the row that has a column, or NOBODY */
    int64_t *from;    /* the row before a column on its way */
    int64_t *settled; /* its way is the shortest there is */
} prices;

size_t mtf_assign_work(int64_t n, int64_t m)
{
    return (size_t)n + 5 * (size_t)m;
}

/* Lengthens the ways to all columns by a step from row i, which is `so_far` away. Returns the
 * nearest column that is not settled, a free one first. */
static int64_t look_further(const prices *p, int64_t i, double so_far)
{
    const double *cost = p->cost + i * p->m;
    int64_t nearest = NOBODY;
    for (int64_t j = 0; j < p->m; j++) {
        if (p->settled[j]) {
            continue;
        }
        const double way = so_far + (cost[j] - p->u[i] - p->v[j]);
        if (way < p->shortest[j]) {
            p->shortest[j] = way;
            p->from[j] = i;
        }
        if (nearest == NOBODY || p->shortest[j] < p->shortest[nearest] ||
            (p->shortest[j] == p->shortest[nearest] && p->owner[j] == NOBODY &&
             p->owner[nearest] != NOBODY)) {
            nearest = j;
        }
    }
    return nearest;
}

/* Row `added` gets a column, and others may change theirs. */
static void add_row(const prices *p, int64_t *columns, int64_t added)
{
    memset(p->settled, 0, (size_t)p->m * sizeof *p->settled);
    for (int64_t j = 0; j < p->m; j++) {
        p->shortest[j] = INFINITY;
    }
    int64_t last = look_further(p, added, 0);
    while (p->owner[last] != NOBODY) {
        p->settled[last] = 1;
        last = look_further(p, p->owner[last], p->shortest[last]);
    }
    const double length = p->shortest[last];
    p->u[added] += length;
    for (int64_t j = 0; j < p->m; j++) {
        if (p->settled[j]) {
            p->u[p->owner[j]] += length - p->shortest[j];
            p->v[j] -= length - p->shortest[j];
        }
    }
    for (int64_t i = NOBODY; i != added;) {
        i = p->from[last];
        const int64_t before = columns[i];
        p->owner[last] = i;
        columns[i] = last;
        last = before;
    }
}

void mtf_assign(int64_t *columns, const double *cost, int64_t n, int64_t m, double *work)
{
    const prices p = {.cost = cost,
                      .n = n,
                      .m = m,
                      .u = work,
                      .v = work + n,
                      .shortest = work + n + m,
                      .owner = (int64_t *)(work + n + 2 * m),
                      .from = (int64_t *)(work + n + 3 * m),
                      .settled = (int64_t *)(work + n + 4 * m)};
    for (int64_t i = 0; i < n + m; i++) {
        work[i] = 0;
    }
    for (int64_t j = 0; j < m; j++) {
        p.owner[j] = NOBODY;
    }
    for (int64_t i = 0; i < n; i++) {
        columns[i] = NOBODY;
    }
    for (int64_t i = 0; i < n; i++) {
        add_row(&p, columns, i);
    }
}

static mtf_status check_costs(const double *cost, int64_t n, int64_t m, mtf_error *err)
{
    for (int64_t i = 0; i < n * m; i++) {
        if (!(fabs(cost[i]) <= MTF_MOST_COST)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "cost %g at row %lld, column %lld: expected a finite number of at most "
                            "%g in size",
                            cost[i], (long long)(i / m), (long long)(i % m), MTF_MOST_COST);
        }
    }
    return MTF_OK;
}

mtf_status mtf_assignment(const double *cost, int64_t n, int64_t m, int64_t *columns,
                          mtf_error *err)
{
    const int turned = n > m;
    const int64_t few = turned ? m : n, many = turned ? n : m;
    if (n < 0 || m < 0 || n > MOST_SIDE || m > MOST_SIDE) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "costs must have 0 to %lld rows and columns, found %lld and %lld",
                        (long long)MOST_SIDE, (long long)n, (long long)m);
    }
    MTF_TRY(check_costs(cost, n, m, err));
    const size_t n_turned = turned ? (size_t)(n * m) : 0;
    const size_t n_values = mtf_assign_work(few, many) + n_turned + (size_t)few;
    double *work = mtf_alloc_array(n_values, sizeof *work);
    if (work == NULL) {
        return mtf_fail_memory(err, n_values * sizeof *work);
    }
    double *across = work + mtf_assign_work(few, many);
    int64_t *found = (int64_t *)(across + n_turned);
    for (int64_t i = 0; turned && i < n * m; i++) {
        across[i % m * n + i / m] = cost[i];
    }
    mtf_assign(found, turned ? across : cost, few, many, work);
    for (int64_t i = 0; i < n; i++) {
        columns[i] = turned ? NOBODY : found[i];
    }
    for (int64_t j = 0; turned && j < m; j++) {
        columns[found[j]] = j;
    }
    mtf_free(work);
    return MTF_OK;
}
