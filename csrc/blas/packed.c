/* packed.c: forms of weights and products over them; see packed.h.
 *
 * Where one linear layer's three products stand in terms of "rows of x times packed columns":
 *   y  (M,N) = x  (M,K) . form Y       element (n,k) of the form = W[n][k]
 *   dx (M,K) = dy (M,N) . form DX      element (k,n) of the form = W[n][k]
 *   dW (N,K) = dy^T     . packed x     x operand read by columns (xi = 1), the sum goes over M
 * SPDX-License-Identifier: Apache-2.0 */
#include "packed.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <string.h>

/* Smallest weight and side that go over packed forms: below, packing and whole panels cost more
 * than they give, and a head's few outputs are better kept exact. */
#define MIN_WEIGHT MTF_BLAS_MIN_WEIGHT
#define MIN_SIDE   32

/* Whose fp32 products are ours; at other levels OpenBLAS makes them, or the kernels of gemm.h. From
 * benchmarks/c/bench_packed.c: avx512 beats OpenBLAS on every weight shape of MiniLM and BERT-base from
 * 8 rows on; avx2 beats it by 1.3 and more at 8 to 23 rows and equals its AVX-512 kernel from 128 on.
 * One row alone is slower on some shapes. Reduced precision is always ours. */
static const char *const own_fp32[] = {"avx2", "avx512", "avx512vnni", "avx512bf16", "amx"};

static int level_is_own(void)
{
    for (size_t i = 0; i < sizeof own_fp32 / sizeof *own_fp32; i++) {
        if (strcmp(mtf_kernel->isa, own_fp32[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

mtf_precision mtf_precision_of(int64_t n, int64_t k, mtf_precision wanted)
{
    if (wanted == MTF_PRECISION_INT8 && k > MTF_INT8_MOST_TERMS) {
        return MTF_PRECISION_F32;
    }
    return n * k >= MIN_WEIGHT && n >= MIN_SIDE && k >= MIN_SIDE ? wanted : MTF_PRECISION_F32;
}

mtf_precision mtf_taps_precision(int64_t n, int64_t k, mtf_precision wanted)
{
    const int gains = wanted == MTF_PRECISION_BF16 && n >= MIN_SIDE && k >= MIN_SIDE;
    return gains ? wanted : mtf_precision_of(n, k, wanted);
}

int mtf_packs(int64_t n, int64_t k, mtf_precision precision)
{
    if (mtf_precision_of(n, k, MTF_PRECISION_BF16) == MTF_PRECISION_F32) {
        return 0; /* small */
    }
    return precision != MTF_PRECISION_F32 || level_is_own();
}

int mtf_keeps_dx_form(int trains, mtf_precision precision)
{
    return !trains && precision != MTF_PRECISION_F32;
}

/* The weight as rows of a form: `n` columns of the product, sums over `k`. */
typedef struct form_shape {
    int64_t n, k, ldw;
    int transposed;
    int64_t
        groups; /* of panels, one behind the other: of dx of MTF_LAYOUT_TAPS one a tap, else 1 */
} form_shape;

/* Packed by taps; with one tap as the weight of a linear layer. */
static int has_taps(const mtf_weight *w)
{
    return w->layout == MTF_LAYOUT_TAPS && w->taps > 1;
}

static form_shape shape_of(const mtf_weight *w, mtf_use use)
{
    if (has_taps(w)) {
        const form_shape y = {.n = w->rows, .k = w->cols, .groups = 1};
        const form_shape dx = {.n = w->cols / w->taps, .k = w->rows, .groups = w->taps};
        return use == MTF_USE_Y ? y : dx;
    }
    const int out_in = w->layout != MTF_LAYOUT_IN_OUT;
    const int rows_are_n = (use == MTF_USE_Y) == out_in;
    const form_shape s = {rows_are_n ? w->rows : w->cols, rows_are_n ? w->cols : w->rows, w->cols,
                          !rows_are_n, 1};
    return s;
}

static int64_t panels_of(int64_t n)
{
    return (n + MTF_PANEL - 1) / MTF_PANEL;
}

static int64_t all_panels(const form_shape *s)
{
    return s->groups * panels_of(s->n);
}

/* Bytes of one panel with sums over k. */
static size_t panel_bytes(int64_t k, mtf_precision precision)
{
    switch (precision) {
    case MTF_PRECISION_BF16:
        return (size_t)((k + 1) / 2) * MTF_PANEL * 2 * sizeof(uint16_t);
    case MTF_PRECISION_INT8:
        return (size_t)((k + 3) / 4) * MTF_PANEL * 4 * sizeof(int8_t);
    case MTF_PRECISION_F32:
        break;
    }
    return (size_t)k * MTF_PANEL * sizeof(mtf_real);
}

/* Of the panels, rounded up so that what follows them begins on a cache line. */
static size_t panels_bytes(const form_shape *s, mtf_precision precision)
{
    return ((size_t)all_panels(s) * panel_bytes(s->k, precision) + 63) / 64 * 64;
}

static size_t extra_bytes(const form_shape *s, mtf_precision precision)
{
    return precision == MTF_PRECISION_INT8
               ? (size_t)all_panels(s) * MTF_PANEL * (sizeof(float) + sizeof(int32_t))
               : 0;
}

size_t mtf_form_bytes(const mtf_weight *w, mtf_use use, mtf_precision precision)
{
    const form_shape s = shape_of(w, use);
    return panels_bytes(&s, precision) + extra_bytes(&s, precision);
}

/* Bytes before the first form of a block: a cache line. */
#define BLOCK_HEAD ((size_t)64)

mtf_status mtf_form_block_new(mtf_form_block **block, size_t bytes, mtf_error *err)
{
    *block = mtf_alloc(BLOCK_HEAD + bytes);
    if (*block == NULL) {
        return mtf_fail_memory(err, BLOCK_HEAD + bytes);
    }
    **block = (mtf_form_block){.used = BLOCK_HEAD, .n_forms = 0};
    return MTF_OK;
}

void mtf_form_place(mtf_weight *w, mtf_use use, mtf_precision precision, mtf_form_block *block)
{
    const form_shape s = shape_of(w, use);
    mtf_form *form = &w->forms[use][precision];
    char *memory = (char *)block + block->used;
    form->block = block;
    form->panels = memory;
    form->filled = 0;
    if (precision == MTF_PRECISION_INT8) {
        form->scale = (float *)(void *)(memory + panels_bytes(&s, precision));
        form->sums = (int32_t *)(void *)(form->scale + all_panels(&s) * MTF_PANEL);
    }
    block->used += mtf_form_bytes(w, use, precision);
    block->n_forms++;
}

mtf_status mtf_form_reserve(mtf_weight *w, mtf_use use, mtf_precision precision, mtf_error *err)
{
    if (w->forms[use][precision].panels != NULL) {
        return MTF_OK;
    }
    mtf_form_block *block;
    MTF_TRY(mtf_form_block_new(&block, mtf_form_bytes(w, use, precision), err));
    mtf_form_place(w, use, precision, block);
    return MTF_OK;
}

int64_t mtf_form_panels(const mtf_weight *w, mtf_use use)
{
    const form_shape s = shape_of(w, use);
    return all_panels(&s);
}

const void *mtf_form_panel(const mtf_form *form, int64_t k, mtf_precision precision, int64_t panel)
{
    return (const char *)form->panels + (size_t)panel * panel_bytes(k, precision);
}

mtf_form mtf_form_tap(const mtf_form *form, int64_t inputs, int64_t outputs, int64_t tap,
                      mtf_precision precision)
{
    char *panels = form->panels;
    return (mtf_form){.panels = panels + (size_t)(tap * panels_of(inputs)) *
                                             panel_bytes(outputs, precision)};
}

/* Panels first .. last - 1 of `values`, (N,K) or (K,N) as the shape says, in fp32 or bf16. */
static void pack(void *panels, const mtf_real *values, const form_shape *s, mtf_precision precision,
                 int64_t first, int64_t last)
{
    if (precision == MTF_PRECISION_BF16) {
        mtf_kernel->pack_bf16(panels, values, s->ldw, s->transposed, s->n, s->k, first, last);
    } else {
        mtf_kernel->pack_f32(panels, values, s->ldw, s->transposed, s->n, s->k, first, last);
    }
}

void mtf_form_pack(void *panels, const mtf_weight *w, mtf_use use, mtf_precision precision,
                   int64_t first, int64_t last)
{
    if (has_taps(w)) {
        mtf_taps_pack(panels, NULL, NULL, w, use, precision, first, last);
        return;
    }
    const form_shape s = shape_of(w, use);
    pack(panels, w->master, &s, precision, first, last);
}

void mtf_form_fill(mtf_weight *w, mtf_use use, mtf_precision precision, int64_t first, int64_t last)
{
    mtf_form *form = &w->forms[use][precision];
    if (has_taps(w)) {
        mtf_taps_pack(form->panels, form->scale, form->sums, w, use, precision, first, last);
    } else if (precision == MTF_PRECISION_INT8) {
        const form_shape s = shape_of(w, use);
        mtf_kernel->pack_int8(form->panels, form->scale, form->sums, w->master, s.ldw, s.transposed,
                              s.n, s.k, first, last);
    } else {
        mtf_form_pack(form->panels, w, use, precision, first, last);
    }
}

void mtf_forms_free(mtf_weight *w)
{
    for (int use = 0; use < MTF_N_USES; use++) {
        for (int p = 0; p < MTF_N_PRECISIONS; p++) {
            mtf_form_block *block = w->forms[use][p].block;
            if (block != NULL && --block->n_forms == 0) {
                mtf_free(block);
            }
            memset(&w->forms[use][p], 0, sizeof w->forms[use][p]);
        }
    }
}

const mtf_form *mtf_weight_form(const mtf_weight *w, mtf_use use, mtf_precision precision)
{
    const mtf_form *form = &w->forms[use][precision];
    return form->filled == w->version + 1 ? form : NULL;
}

void mtf_packed_product(mtf_real *y, const mtf_real *x, const mtf_product *p, mtf_real *work)
{
    const int64_t n = p->n1 - p->n0;
    mtf_epilogue e = p->epilogue;
    if (e.bias != NULL) {
        e.bias += p->n0;
    }
    if (e.pre != NULL) {
        e.pre += p->n0;
    }
    y += p->n0;
    if (!p->uncounted) {
        mtf_flops_add(p->kind, 2 * p->m * n * p->k + (e.bias != NULL ? p->m * n : 0) +
                                   (e.activation != MTF_ACT_NONE ? p->m * n : 0));
    }
    const void *panels = mtf_form_panel(p->form, p->k, p->precision, p->n0 / MTF_PANEL);
    switch (p->precision) {
    case MTF_PRECISION_F32:
        mtf_kernel->packed_f32(y, p->ldy, x, p->xi, p->xp, panels, p->m, n, p->k, &e, work);
        break;
    case MTF_PRECISION_BF16:
        mtf_kernel->packed_bf16(y, p->ldy, x, p->xi, p->xp, panels, p->m, n, p->k, &e, work);
        break;
    case MTF_PRECISION_INT8:
        mtf_kernel->packed_int8(y, p->ldy, x, p->xi, p->xp, panels, p->form->scale + p->n0,
                                p->form->sums + p->n0, p->m, n, p->k, &e, work);
        break;
    }
}

size_t mtf_packed_x_size(int64_t m, int64_t k, mtf_precision precision)
{
    const size_t bytes = (size_t)panels_of(k) * panel_bytes(m, precision);
    return (bytes + sizeof(mtf_real) - 1) / sizeof(mtf_real);
}

void mtf_packed_x_fill(mtf_real *panels, const mtf_real *x, int64_t m, int64_t k,
                       mtf_precision precision, int64_t first, int64_t last)
{
    /* element (n = column of x, k = row of x) of the "weight" is x[k * ldw + n] */
    const form_shape s = {.n = k, .k = m, .ldw = k, .transposed = 1, .groups = 1};
    pack(panels, x, &s, precision, first, last);
}
