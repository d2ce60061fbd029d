/* Shared by the tests of products in reduced precision: one product of any shape with all its
 * buffers, and its run by one level. Panels lie in guarded buffers, too.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_REDUCED_CASE_H
#define MTF_REDUCED_CASE_H

#include "kernel_levels.h"

typedef struct reduced_case {
    int64_t m, n, k, ldy, ldw;
    int64_t xi, xp; /* rows of x, or a transposed x */
    buffer x, w, bias, work;
} reduced_case;

/* Panels of a weight; scale and sums are those of int8. */
typedef struct reduced_panels {
    buffer values;
    float *scale;
    int32_t *sums;
} reduced_panels;

static inline int64_t panels_of(int64_t n)
{
    return (n + MTF_PANEL - 1) / MTF_PANEL;
}

/* Random x, w and bias within [-1, 1]; turned: x lies transposed. */
static inline reduced_case reduced_new(int64_t m, int64_t n, int64_t k, int turned)
{
    reduced_case c = {.m = m, .n = n, .k = k, .ldy = n + 3, .ldw = k + 1};
    c.xi = turned ? 1 : k + 2;
    c.xp = turned ? m + 1 : 1;
    c.x = buffer_random((m - 1) * c.xi + (k - 1) * c.xp + 1, 1, -1.0, 1.0);
    c.w = buffer_random((n - 1) * c.ldw + k, 2, -1.0, 1.0);
    c.bias = buffer_random(n, 3, -1.0, 1.0);
    c.work = buffer_new((int64_t)mtf_packed_work(k), 1);
    return c;
}

static inline void reduced_free(reduced_case c)
{
    buffer_free(c.x), buffer_free(c.w), buffer_free(c.bias), buffer_free(c.work);
}

static inline mtf_real *reduced_x(const reduced_case *c, int64_t i, int64_t p)
{
    return c->x.data + i * c->xi + p * c->xp;
}

static inline reduced_panels pack_bf16(const mtf_kernels *table, const reduced_case *c)
{
    const int64_t n_panels = panels_of(c->n);
    reduced_panels p = {.values = buffer_new(n_panels * MTF_PANEL * ((c->k + 1) / 2), 0)};
    table->pack_bf16((uint16_t *)p.values.data, c->w.data, c->ldw, 0, c->n, c->k, 0, n_panels);
    return p;
}

static inline reduced_panels pack_int8(const mtf_kernels *table, const reduced_case *c)
{
    const int64_t n_panels = panels_of(c->n);
    reduced_panels p = {.values = buffer_new(n_panels * MTF_PANEL * ((c->k + 3) / 4), 0)};
    p.scale = mtf_alloc_array((size_t)(n_panels * MTF_PANEL), sizeof *p.scale);
    p.sums = mtf_alloc_array((size_t)(n_panels * MTF_PANEL), sizeof *p.sums);
    table->pack_int8((int8_t *)p.values.data, p.scale, p.sums, c->w.data, c->ldw, 0, c->n, c->k, 0,
                     n_panels);
    return p;
}

static inline void panels_free(reduced_panels p)
{
    buffer_free(p.values);
    mtf_free(p.scale);
    mtf_free(p.sums);
}

/* Rows first .. first+m-1 of the case by one level into y (m,N), rows ldy apart. */
static inline void run_bf16(const mtf_kernels *table, const reduced_case *c,
                            const reduced_panels *p, buffer y, int64_t first, int64_t m,
                            const mtf_epilogue *e)
{
    table->packed_bf16(y.data, c->ldy, reduced_x(c, first, 0), c->xi, c->xp,
                       (const uint16_t *)p->values.data, m, c->n, c->k, e, c->work.data);
}

static inline void run_int8(const mtf_kernels *table, const reduced_case *c,
                            const reduced_panels *p, buffer y, int64_t first, int64_t m,
                            const mtf_epilogue *e)
{
    table->packed_int8(y.data, c->ldy, reduced_x(c, first, 0), c->xi, c->xp,
                       (const int8_t *)p->values.data, p->scale, p->sums, m, c->n, c->k, e,
                       c->work.data);
}

/* What lies between the rows of y and `before` is the same. */
static inline void check_between_rows(const reduced_case *c, buffer y, buffer before)
{
    for (int64_t i = 0; i + 1 < c->m; i++) {
        CHECK_BITS(y.data + i * c->ldy + c->n, before.data + i * c->ldy + c->n,
                   (size_t)(c->ldy - c->n) * sizeof *y.data);
    }
}

#endif
