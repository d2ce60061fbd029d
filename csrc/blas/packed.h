/* packed.h: linear products over a weight's packed forms, in fp32, bf16 or int8.
 *
 * A *form* is a copy of a weight in the panels that the kernels read (kernels.def), made of the
 * master when it is first needed and again after the master changed. One form serves y = x W^T, the
 * other dx = dy W. Which products go over packed forms is decided by the ISA level in use and the
 * weight's shape, never by the number of rows (mtf_packs); the others read the master (gemm.h).
 * dW = dy^T x has no weight to pack: the caller packs x, once for all its tiles.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BLAS_PACKED_H
#define MTF_BLAS_PACKED_H

#include "../base/flops.h"
#include "../kernels/kernels.h"
#include "gemm.h"

typedef enum mtf_use { MTF_USE_Y, MTF_USE_DX, MTF_N_USES } mtf_use;

/* Memory that forms share and that goes with the last of them: one large block can have huge pages,
 * and weights that come from memory then come nearly twice as fast. */
typedef struct mtf_form_block {
    size_t used;
    int64_t n_forms;
} mtf_form_block;

typedef struct mtf_form {
    mtf_form_block *block;
    void *panels;    /* of the kernels: mtf_real, bf16 or int8 */
    float *scale;    /* int8: (panels * MTF_PANEL) */
    int32_t *sums;   /* int8: (panels * MTF_PANEL) */
    uint64_t filled; /* 1 + the version of the master that it was made of; 0: not filled */
} mtf_form;

/* A weight by handle: the master and its forms; `version` keys them. */
typedef struct mtf_weight {
    const mtf_real *master; /* (rows, cols), C order; (rows) for vectors with cols = 1 */
    int64_t rows, cols;
    mtf_layout layout;
    int64_t taps; /* MTF_LAYOUT_TAPS: kernel height times width; cols = inputs * taps */
    uint64_t version;
    mtf_form forms[MTF_N_USES][MTF_N_PRECISIONS];
} mtf_weight;

/* 1: products with a weight of N outputs and K inputs go over packed forms in this precision. */
int mtf_packs(int64_t n, int64_t k, mtf_precision precision);
/* The precision that a product is really made in: small weights stay in fp32, and int8 sums have
 * MTF_INT8_MOST_TERMS at most. */
mtf_precision mtf_precision_of(int64_t n, int64_t k, mtf_precision wanted);
/* The same of MTF_LAYOUT_TAPS, whose products have so many rows that in bf16 smaller weights gain. */
mtf_precision mtf_taps_precision(int64_t n, int64_t k, mtf_precision wanted);
/* Whether a weight keeps its form for dx; else each backward pass makes one and drops it. One that
 * trains would serve once. In fp32 the panels are the master's own rows, copied: that takes little
 * beside a product, and kept they would be all of the master once more. In bf16 they are rounded,
 * which takes longer, the product less, and they are half as large. */
int mtf_keeps_dx_form(int trains, mtf_precision precision);
/* Bytes of one form. */
size_t mtf_form_bytes(const mtf_weight *w, mtf_use use, mtf_precision precision);
/* Room for forms of so many bytes in all; it is the caller's until the first mtf_form_place(). */
MTF_NODISCARD mtf_status mtf_form_block_new(mtf_form_block **block, size_t bytes, mtf_error *err);
/* Gives a form that has no memory the next part of a block; its contents wait for mtf_form_fill(). */
void mtf_form_place(mtf_weight *w, mtf_use use, mtf_precision precision, mtf_form_block *block);
/* Both for one form alone, if its memory is not there. */
MTF_NODISCARD mtf_status mtf_form_reserve(mtf_weight *w, mtf_use use, mtf_precision precision,
                                          mtf_error *err);
int64_t mtf_form_panels(const mtf_weight *w, mtf_use use);
/* Panel number `panel` of a form of k terms. */
const void *mtf_form_panel(const mtf_form *form, int64_t k, mtf_precision precision, int64_t panel);
/* The weight of one tap of a MTF_LAYOUT_TAPS weight's form for dx: (inputs, outputs). */
mtf_form mtf_form_tap(const mtf_form *form, int64_t inputs, int64_t outputs, int64_t tap,
                      mtf_precision precision);
/* Fills panels first .. last - 1 from the master; the caller sets `filled` after the last one. */
void mtf_form_fill(mtf_weight *w, mtf_use use, mtf_precision precision, int64_t first,
                   int64_t last);
/* The same into memory of the caller's, mtf_real or bf16 panels; not for int8. */
void mtf_form_pack(void *panels, const mtf_weight *w, mtf_use use, mtf_precision precision,
                   int64_t first, int64_t last);
/* Both for MTF_LAYOUT_TAPS; scale and sums NULL unless int8. (taps.c) */
void mtf_taps_pack(void *panels, float *scale, int32_t *sums, const mtf_weight *w, mtf_use use,
                   mtf_precision precision, int64_t first, int64_t last);
void mtf_forms_free(mtf_weight *w);
/* The form if it is up to date, else NULL. */
const mtf_form *mtf_weight_form(const mtf_weight *w, mtf_use use, mtf_precision precision);

/* One product over packed panels: y (M,N) = x (M,K) . panels, columns n0 .. n1 - 1 of it (n0 a
 * multiple of MTF_PANEL). Element (i,p) of x is x[i * xi + p * xp]. */
typedef struct mtf_product {
    mtf_precision precision;
    mtf_flops_kind kind;
    const mtf_form *form;
    int64_t m, n, k, n0, n1;
    int64_t ldy, xi, xp;
    mtf_epilogue epilogue; /* of all N columns */
    int uncounted;         /* 1: the caller counts its operations */
} mtf_product;

/* y (M,N), x as described; work: mtf_packed_work(K). */
void mtf_packed_product(mtf_real *y, const mtf_real *x, const mtf_product *product, mtf_real *work);

/* mtf_real elements that x (M,K), taken as the weight of dW, needs as panels. */
size_t mtf_packed_x_size(int64_t m, int64_t k, mtf_precision precision);
/* Packs panels first .. last - 1 (of MTF_PANEL columns) of x (M,K) into `panels`. */
void mtf_packed_x_fill(mtf_real *panels, const mtf_real *x, int64_t m, int64_t k,
                       mtf_precision precision, int64_t first, int64_t last);

#endif
