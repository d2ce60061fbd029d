/* Backward of linear layers; formulas in linear.c.
 *
 * First region: dpre by rows (which overwrites pre: dW needs all rows at once); x into panels, once
 * for the dW of all parts; and weights into panels for dx, but those that keep them as a form
 * (mtf_keeps_dx_form). Making them anew is not to be measured in a step of LoRA on BERT-base with
 * some 900 rows, and a tenth of one with 100; kept in fp32 they would be the model once more. Second
 * region: dW by rows of the weight (packed) or tiles (BLAS), dx by rows, where the parts' products
 * add up while the rows are in the cache, db by columns.
 * Work is cut by shape, so no result depends on the number of workers; a row of dx depends on that
 * row alone; dW and db add over rows in order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

#include "../base/threads.h"
#include "span.h"

#include <string.h>

enum {
    DPRE_ROWS = 64,
    DX_ROWS = 128,
    DX_ROWS_UNPACKED = 256, /* BLAS packs the weight anew in each call */
    DW_ROWS = 112,
    BIAS_COLUMNS = 64,
    FILL_PANELS = 2
};

/* Operations after which a dW looks whether to stop: some 30 ms. */
#define DW_OPERATIONS (INT64_C(1) << 31)

/* One part's share of the items. */
typedef struct part_job {
    const mtf_real *dpre; /* (R,N) */
    int64_t n;
    mtf_precision precision; /* of dx and dW */
    const mtf_form *dx_form; /* NULL: over the master */
    mtf_form own_form;       /* of a weight that keeps none, in the shared scratch */
    int packed_dw;
    int64_t n_pack, n_dw, n_db;
} part_job;

typedef struct linear_job {
    const mtf_op_call *call;
    part_job parts[LINEAR_PARTS];
    int n_parts;
    int64_t rows, k;
    mtf_form x_panels; /* of all packed dW; panels NULL: there is none */
    mtf_precision x_precision;
    size_t dx_starts[LINEAR_PARTS]; /* in the shared scratch, of weights that keep no form */
    int64_t n_dpre, n_fill, dx_rows, n_dx;
} linear_job;

/* dW of this weight goes over x in panels. The other layout keeps to tiles: no model of ours has a
 * large weight in it. */
static int packs_dw(const mtf_node_shape *shape, int part, mtf_precision precision)
{
    return shape->attrs.layout == MTF_LAYOUT_OUT_IN &&
           mtf_packs(shape->out[part].width, shape->in[LINEAR_X].width, precision);
}

/* Where in the shared scratch weights begin that are packed for dx, in elements, behind x;
 * SIZE_MAX: not packed here. Returns what all take. */
static size_t lay_out(const mtf_node_shape *shape, int64_t rows, mtf_need need,
                      mtf_precision precision, size_t dx_starts[LINEAR_PARTS])
{
    const int64_t k = shape->in[LINEAR_X].width;
    size_t size = 0;
    for (int part = 0; part < linear_n_parts(shape) && size == 0; part++) {
        if ((need.dw >> linear_weight(part) & 1U) && packs_dw(shape, part, precision)) {
            size = (mtf_packed_x_size(rows, k, precision) + 15) / 16 * 16;
        }
    }
    for (int part = 0; part < linear_n_parts(shape); part++) {
        const int64_t n = shape->out[part].width;
        const int trains = need.dw >> linear_weight(part) & 1U;
        dx_starts[part] = SIZE_MAX;
        if (need.dx != 0 && mtf_packs(n, k, precision) &&
            !mtf_keeps_dx_form(trains, mtf_precision_of(n, k, precision))) {
            dx_starts[part] = size;
            size += (mtf_packed_x_size(n, k, precision) + 15) / 16 * 16;
        }
    }
    return size;
}

size_t mtf_linear_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                         mtf_precision precision)
{
    size_t dx_starts[LINEAR_PARTS];
    return lay_out(shape, extent->n_rows[shape->in[LINEAR_X].space], need, precision, dx_starts);
}

static void first_item(void *context, int64_t item, int worker)
{
    const linear_job *job = context;
    const mtf_op_call *call = job->call;
    const int64_t panels = mtf_pieces(job->k, MTF_PANEL); /* of x and, for dx, of every weight */
    (void)worker;
    if (item >= job->n_dpre + job->n_fill) {
        item -= job->n_dpre + job->n_fill;
        int part = 0;
        while (item >= job->parts[part].n_pack) {
            item -= job->parts[part++].n_pack;
        }
        const part_job *p = &job->parts[part];
        mtf_form_pack(p->own_form.panels, call->w[linear_weight(part)], MTF_USE_DX, p->precision,
                      item * FILL_PANELS, mtf_piece_end(panels, FILL_PANELS, item));
        return;
    }
    if (item >= job->n_dpre) {
        item -= job->n_dpre;
        mtf_packed_x_fill(job->x_panels.panels, call->in[LINEAR_X], job->rows, job->k,
                          job->x_precision, item * FILL_PANELS,
                          mtf_piece_end(panels, FILL_PANELS, item));
        return;
    }
    const int64_t n = job->parts[0].n;
    const int64_t first = item * DPRE_ROWS * n;
    const int64_t last = mtf_piece_end(job->rows, DPRE_ROWS, item) * n;
    mtf_real *pre = call->aux[0] + first;
    mtf_kernel->act_bwd(pre, call->dout[0] + first, pre, last - first,
                        call->shape->attrs.activation);
}

static void dw_item(const linear_job *job, int part, int64_t item, mtf_real *work)
{
    const mtf_op_call *call = job->call;
    const part_job *p = &job->parts[part];
    mtf_real *dw = call->dw[linear_weight(part)];
    const int add = call->dw_add[linear_weight(part)];
    if (!p->packed_dw) {
        mtf_linear_dw(dw, p->dpre, call->in[LINEAR_X], job->rows, p->n, job->k,
                      call->shape->attrs.layout, item, add);
        return;
    }
    const int64_t first = item * DW_ROWS;
    mtf_product product = {.precision = p->precision,
                           .kind = MTF_FLOPS_DW,
                           .form = &job->x_panels,
                           .m = mtf_piece_end(p->n, DW_ROWS, item) - first,
                           .n = job->k,
                           .k = job->rows,
                           .ldy = job->k,
                           .xi = 1,
                           .xp = p->n,
                           .epilogue = {NULL, NULL, MTF_ACT_NONE, add}};
    const int64_t panels = DW_OPERATIONS / (2 * MTF_PANEL * DW_ROWS * job->rows + 1) + 1;
    for (; product.n0 < job->k && !mtf_stopping(); product.n0 = product.n1) {
        product.n1 = mtf_piece_end(job->k, panels * MTF_PANEL, product.n0 / MTF_PANEL / panels);
        mtf_packed_product(dw + first * job->k, p->dpre + first, &product, work);
    }
}

/* dx of a piece of rows: the sum of all parts' products. */
static void dx_item(const linear_job *job, int64_t item, mtf_real *work)
{
    const mtf_op_call *call = job->call;
    const int64_t first = item * job->dx_rows;
    const int64_t m = mtf_piece_end(job->rows, job->dx_rows, item) - first;
    mtf_real *dx = call->din[LINEAR_X] + first * job->k;
    int add = call->din_add[LINEAR_X];
    for (int part = 0; part < job->n_parts; part++) {
        const part_job *p = &job->parts[part];
        if (p->dpre == NULL) {
            continue;
        }
        const mtf_real *dpre = p->dpre + first * p->n;
        if (p->dx_form != NULL) {
            const mtf_product product = {.precision = p->precision,
                                         .kind = MTF_FLOPS_DX,
                                         .form = p->dx_form,
                                         .m = m,
                                         .n = job->k,
                                         .k = p->n,
                                         .n1 = job->k,
                                         .ldy = job->k,
                                         .xi = p->n,
                                         .xp = 1,
                                         .epilogue = {NULL, NULL, MTF_ACT_NONE, add}};
            mtf_packed_product(dx, dpre, &product, work);
        } else {
            mtf_linear_dx(dx, dpre, call->w[linear_weight(part)]->master, m, p->n, job->k,
                          call->shape->attrs.layout, add, work);
        }
        add = 1;
    }
}

static void second_item(void *context, int64_t item, int worker)
{
    const linear_job *job = context;
    const mtf_op_call *call = job->call;
    mtf_real *work = call->work + (size_t)worker * call->work_stride;
    for (int part = 0; part < job->n_parts; part++) {
        if (item < job->parts[part].n_dw) {
            dw_item(job, part, item, work);
            return;
        }
        item -= job->parts[part].n_dw;
    }
    if (item < job->n_dx) {
        dx_item(job, item, work);
        return;
    }
    item -= job->n_dx;
    int part = 0;
    while (item >= job->parts[part].n_db) {
        item -= job->parts[part++].n_db;
    }
    const part_job *p = &job->parts[part];
    const int64_t first = item * BIAS_COLUMNS;
    const int64_t last = mtf_piece_end(p->n, BIAS_COLUMNS, item);
    mtf_kernel->column_sum(call->dw[linear_bias(part)] + first, p->dpre + first, p->n, job->rows,
                           last - first, call->dw_add[linear_bias(part)]);
}

static void write_zeros(const mtf_op_call *call, int weight, int64_t n)
{
    if (call->dw[weight] != NULL && !call->dw_add[weight]) {
        memset(call->dw[weight], 0, (size_t)n * sizeof *call->dw[weight]);
    }
}

/* Everything that is known of a part before dpre is there; returns the operations of its items. */
static int64_t plan_part(linear_job *job, int part)
{
    const mtf_op_call *call = job->call;
    const mtf_node_shape *shape = call->shape;
    part_job *p = &job->parts[part];
    const int64_t product = 2 * job->rows * shape->out[part].width * job->k;
    int64_t operations = job->rows * shape->out[part].width;
    *p = (part_job){.dpre = call->dout[part], .n = shape->out[part].width};
    if (p->dpre == NULL) { /* nothing arrives at this part */
        write_zeros(call, linear_weight(part), p->n * job->k);
        write_zeros(call, linear_bias(part), p->n);
        return 0;
    }
    p->precision = mtf_precision_of(p->n, job->k, call->grad_precision);
    if (call->dw[linear_weight(part)] != NULL) {
        p->packed_dw = call->shared != NULL && packs_dw(shape, part, p->precision);
        p->n_dw = p->packed_dw ? mtf_pieces(p->n, DW_ROWS)
                               : mtf_linear_dw_tiles(p->n, job->k, shape->attrs.layout);
        operations += product;
        if (p->packed_dw) {
            job->x_panels.panels = call->shared;
            job->x_precision = p->precision;
        }
    }
    if (call->din[LINEAR_X] != NULL) {
        const size_t start = job->dx_starts[part];
        if (call->shared != NULL && start != SIZE_MAX) {
            p->own_form.panels = call->shared + start;
            p->dx_form = &p->own_form;
            p->n_pack = mtf_pieces(mtf_pieces(job->k, MTF_PANEL), FILL_PANELS);
        } else {
            p->dx_form = mtf_weight_form(call->w[linear_weight(part)], MTF_USE_DX, p->precision);
        }
        job->dx_rows = p->dx_form != NULL ? DX_ROWS : DX_ROWS_UNPACKED;
        operations += product;
    }
    p->n_db = call->dw[linear_bias(part)] != NULL ? mtf_pieces(p->n, BIAS_COLUMNS) : 0;
    return operations;
}

void mtf_linear_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    linear_job job = {.call = call,
                      .n_parts = linear_n_parts(shape),
                      .rows = call->span->n_rows[shape->in[LINEAR_X].space],
                      .k = shape->in[LINEAR_X].width};
    int64_t operations = 0;
    int64_t items = 0;
    int64_t packs = 0;
    mtf_need need = {.dx = call->din[LINEAR_X] != NULL};
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        need.dw |= (uint32_t)(call->dw[i] != NULL) << i;
    }
    (void)lay_out(shape, job.rows, need, call->grad_precision, job.dx_starts);
    for (int part = 0; part < job.n_parts; part++) {
        operations += plan_part(&job, part);
        items += job.parts[part].n_dw + job.parts[part].n_db;
        packs += job.parts[part].n_pack;
    }
    if (call->din[LINEAR_X] != NULL) {
        job.n_dx = mtf_pieces(job.rows, job.dx_rows);
        items += job.n_dx;
    }
    if (shape->attrs.activation != MTF_ACT_NONE) {
        job.n_dpre = mtf_pieces(job.rows, DPRE_ROWS);
        job.parts[0].dpre = call->aux[0];
    }
    if (job.x_panels.panels != NULL) {
        job.n_fill = mtf_pieces(mtf_pieces(job.k, MTF_PANEL), FILL_PANELS);
    }
    if (job.n_dpre + job.n_fill + packs > 0) {
        mtf_parallel_work(job.n_dpre + job.n_fill + packs, operations, first_item, &job);
    }
    mtf_parallel_work(items, operations, second_item, &job);
}
