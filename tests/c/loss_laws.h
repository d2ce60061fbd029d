/* What every test of a loss shares: finding it, and its gradient against differences.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_LOSS_LAWS_H
#define MTF_LOSS_LAWS_H

#include "losses/losses.h"
#include "test.h"

#ifdef MTF_REAL_DOUBLE
#define LOSS_CLOSE 1e-12
#else
#define LOSS_CLOSE 1e-6
#endif

static inline const mtf_loss_kind *loss_named(const char *name)
{
    const mtf_loss_kind *kind = NULL;
    CHECK(mtf_loss_find(name, &kind, NULL) == MTF_OK);
    return kind;
}

/* Whether what a loss adds to dy is its scale times the difference quotient of its sum, in rows without
 * a target too; y (M,N) is `rows->y`, which is put back. rows->dy is not read. */
static inline void loss_check_gradient_within(const mtf_loss_kind *kind, mtf_loss_rows rows,
                                              mtf_real *y, double tolerance)
{
    const int64_t n = rows.m * rows.n;
    const double h = sizeof(mtf_real) == 8 ? 1e-5 : 1.0 / 256;
    mtf_real *dy = malloc((size_t)n * sizeof *dy);
    for (int64_t i = 0; dy != NULL && i < n; i++) {
        dy[i] = 7; /* it is added to */
    }
    rows.dy = dy;
    rows.scale = (mtf_real)0.25;
    const double whole = kind->value_and_gradient(&rows);
    rows.dy = NULL;
    CHECK(kind->value_and_gradient(&rows) == whole);
    for (int64_t i = 0; dy != NULL && i < n; i++) {
        const mtf_real held = y[i];
        y[i] = held + (mtf_real)h;
        const double above = kind->value_and_gradient(&rows);
        y[i] = held - (mtf_real)h;
        const double below = kind->value_and_gradient(&rows);
        y[i] = held;
        CHECK_CLOSE(dy[i] - 7, 0.25 * (above - below) / (2 * h), tolerance);
    }
    free(dy);
}

/* For losses whose third derivatives are of the size of one. */
static inline void loss_check_gradient(const mtf_loss_kind *kind, mtf_loss_rows rows, mtf_real *y)
{
    loss_check_gradient_within(kind, rows, y, sizeof(mtf_real) == 8 ? 1e-9 : 1e-4);
}

#endif
