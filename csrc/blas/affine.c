/* affine.c: see affine.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "affine.h"

/* Elements of (m, n) values, whole cache lines. */
static size_t lines(int64_t m, int64_t n)
{
    return ((size_t)m * (size_t)n + 15) / 16 * 16;
}

size_t mtf_affine_product_work(int64_t m, int64_t n, int64_t k)
{
    const size_t own = lines(m, k) + 2 * lines(m, n) + lines(1, n);
    return mtf_packed_work(k) + (mtf_kernel->affine_product == NULL ? own : 0);
}

/* to (M,N), rows ld_to apart, = rows of from, ld apart. */
static void widen_rows(mtf_real *to, int64_t ld_to, const uint16_t *from, int64_t ld, int64_t m,
                       int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        mtf_kernel->bf16_widen(to + i * ld_to, from + i * ld, n);
    }
}

void mtf_affine_product_run(const mtf_affine_product *p, mtf_real *work)
{
    static const mtf_epilogue none = {NULL, NULL, MTF_ACT_NONE, 0};
    if (mtf_kernel->affine_product != NULL) {
        mtf_kernel->affine_product(p, work);
        return;
    }
    mtf_real *x = work;
    mtf_real *sums = x + lines(p->m, p->k);
    mtf_real *residual = sums + lines(p->m, p->n);
    uint16_t *row = (uint16_t *)(void *)(residual + lines(p->m, p->n));
    mtf_real *rest = residual + lines(p->m, p->n) + lines(1, p->n);
    for (int64_t r = 0; p->x_half != NULL && r < p->n_runs; r++) {
        const int64_t run = p->k / p->n_runs;
        widen_rows(x + r * run, p->k, p->x_half + r * p->run_step, p->xi, p->m, run);
    }
    mtf_kernel->packed_bf16(sums, p->n, p->x_half != NULL ? x : p->x,
                            p->x_half != NULL ? p->k : p->xi, 1, p->panels, p->m, p->n, p->k, &none,
                            rest);
    if (p->residual_half != NULL) {
        widen_rows(residual, p->n, p->residual_half, p->ldr, p->m, p->n);
    }
    mtf_kernel->column_affine(sums, p->n, p->scale, p->shift,
                              p->residual_half != NULL ? residual : p->residual,
                              p->residual_half != NULL ? p->n : p->ldr, p->m, p->n, p->activation);
    for (int64_t i = 0; i < p->m; i++) {
        uint16_t *to = p->y_half != NULL ? p->y_half + i * p->ldy : row;
        mtf_kernel->bf16_round(to, sums + i * p->n, p->n);
        if (p->y_half == NULL) {
            mtf_kernel->bf16_widen(p->y + i * p->ldy, row, p->n);
        }
    }
}
