/* Linear layers with fused bias and activation: facts and forward (linear_bwd.c: backward).
 *
 *   pre = x W^T + b       y = act(pre)
 *   dpre = dy * act'(pre)     dx = dpre W     dW = dpre^T x     db = column sums of dpre
 *
 * A node holds one layer, or up to three that read the same rows, as query, key and value do: one
 * region of work forward, and backward x is packed once for all dW and dx is written once.
 * The weight is (N,K), or (K,N) with attribute layout IN_OUT; the bias may be absent.
 * Saved for backward: pre if there is an activation and anything needs a gradient; x only if a
 * weight trains. A frozen linear without activation saves nothing.
 * Forward on many workers (the whole batch is one block): cut by rows and columns of the products.
 * Bits: a row of y depends on that row alone.
 * Tolerance family: gemm. Derivation of the activations: docs/derivations/gelu.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

/* Least rows that a worker takes for itself when all share a batch: two strips of a product. */
enum { WIDE_ROWS = 28 };
/* Rows after which a product looks whether to stop: of BERT-base's largest weight some 30 ms. */
enum { PIECE_ROWS = 384 };

static mtf_status check_part(mtf_node_shape *shape, int part, mtf_error *err)
{
    const int in_out = shape->attrs.layout == MTF_LAYOUT_IN_OUT;
    const int64_t k = shape->in[LINEAR_X].width;
    const int weight = linear_weight(part);
    mtf_status status =
        mtf_check_weight(shape, "linear", weight, "weight", in_out ? k : 0, in_out ? 0 : k, err);
    if (status != MTF_OK) {
        return status;
    }
    const int64_t n = in_out ? shape->weight_cols[weight] : shape->weight_rows[weight];
    if (mtf_has_weight(shape, linear_bias(part))) {
        status = mtf_check_weight(shape, "linear", linear_bias(part), "bias", n, 1, err);
    }
    if (status == MTF_OK) {
        shape->out[part] = (mtf_slot){.space = shape->in[LINEAR_X].space, .width = n};
    }
    return status;
}

static mtf_status linear_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "linear", LINEAR_X, "x", 0, err);
    int part = 0;
    do {
        if (status == MTF_OK) {
            status = check_part(shape, part, err);
        }
        part++;
    } while (status == MTF_OK && part < LINEAR_PARTS && mtf_has_weight(shape, linear_weight(part)));
    if (status != MTF_OK || shape->attrs.activation == MTF_ACT_NONE) {
        return status;
    }
    if (part > 1) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: linear layers that share a node expect no activation; give each a "
                        "node of its own",
                        shape->label);
    }
    shape->aux[0] = shape->out[0];
    return MTF_OK;
}

/* What of a product one call makes: rows first .. last - 1, columns n0 .. n1 - 1 (all of them where the
 * master is multiplied as it is). */
typedef struct region {
    int64_t first, last, n0, n1;
} region;

static const mtf_form *form_of(const mtf_op_call *call, int part, mtf_precision *precision)
{
    const int weight = linear_weight(part);
    *precision = mtf_precision_of(call->shape->out[part].width, call->shape->in[LINEAR_X].width,
                                  call->precision[weight]);
    return mtf_weight_form(call->w[weight], MTF_USE_Y, *precision);
}

static void forward_piece(const mtf_op_call *call, int part, const region *r, mtf_real *work)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_weight *b = call->w[linear_bias(part)];
    const mtf_real *bias = b != NULL ? b->master : NULL;
    const int64_t rows = r->last - r->first;
    const int64_t n = shape->out[part].width;
    const int64_t k = shape->in[LINEAR_X].width;
    const mtf_activation activation = shape->attrs.activation;
    const mtf_real *x = call->in[LINEAR_X] + r->first * k;
    mtf_real *y = call->out[part] + r->first * n;
    mtf_real *pre =
        activation != MTF_ACT_NONE && call->aux[0] != NULL ? call->aux[0] + r->first * n : NULL;
    mtf_precision precision;
    const mtf_form *form = form_of(call, part, &precision);
    if (form != NULL) {
        const mtf_product product = {.precision = precision,
                                     .kind = MTF_FLOPS_FORWARD,
                                     .form = form,
                                     .m = rows,
                                     .n = n,
                                     .k = k,
                                     .n0 = r->n0,
                                     .n1 = r->n1,
                                     .ldy = n,
                                     .xi = k,
                                     .xp = 1,
                                     .epilogue = {bias, pre, activation, 0}};
        mtf_packed_product(y, x, &product, work);
        return;
    }
    mtf_linear_y(y, x, call->w[linear_weight(part)]->master, rows, n, k, shape->attrs.layout, 0,
                 work);
    if (bias != NULL || activation != MTF_ACT_NONE) {
        mtf_kernel->bias_act_fwd(y, pre, bias, rows, n, activation);
    }
}

/* A region in pieces of nearly equal rows, so that the run can end between them. Ordinary blocks are
 * one piece. */
static void forward_region(const mtf_op_call *call, int part, const region *r, mtf_real *work)
{
    const int64_t rows = r->last - r->first;
    const int64_t n_pieces = mtf_pieces(rows, PIECE_ROWS);
    for (int64_t i = 0; i < n_pieces && !mtf_stopping(); i++) {
        const region piece = {r->first + rows * i / n_pieces, r->first + rows * (i + 1) / n_pieces,
                              r->n0, r->n1};
        forward_piece(call, part, &piece, work);
    }
}

/* How a part is cut among the workers: by rows while each gets enough of them, since a product packs
 * the rows that it reads; what is left of the workers shares the columns. */
typedef struct grid {
    int64_t row_pieces, rows, column_pieces, columns; /* rows and columns of a piece */
} grid;

static grid wide_grid(const mtf_op_call *call, int part)
{
    const int64_t n = call->shape->out[part].width;
    const int64_t rows = call->span->n_rows[call->shape->in[LINEAR_X].space];
    const int64_t workers = mtf_workers();
    grid g = {1, rows, 1, n};
    mtf_precision precision;
    if (call->out[part] == NULL || rows == 0) {
        return (grid){0, 0, 0, 0};
    }
    g.row_pieces = rows / WIDE_ROWS < workers ? rows / WIDE_ROWS : workers;
    g.row_pieces = g.row_pieces > 1 ? g.row_pieces : 1;
    if (form_of(call, part, &precision) != NULL) {
        const int64_t wanted = mtf_pieces(workers, g.row_pieces);
        const int64_t panels = mtf_pieces(n, MTF_PANEL);
        g.columns = mtf_pieces(panels, wanted) * MTF_PANEL;
        g.column_pieces = mtf_pieces(n, g.columns);
    }
    g.rows = mtf_pieces(rows, g.row_pieces);
    g.row_pieces = mtf_pieces(rows, g.rows);
    return g;
}

static void wide_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t rows = call->span->n_rows[call->shape->in[LINEAR_X].space];
    int part = 0;
    grid g = wide_grid(call, 0);
    while (item >= g.row_pieces * g.column_pieces) {
        item -= g.row_pieces * g.column_pieces;
        g = wide_grid(call, ++part);
    }
    const int64_t row = item / g.column_pieces;
    const int64_t column = item % g.column_pieces;
    const region r = {row * g.rows, mtf_piece_end(rows, g.rows, row), column * g.columns,
                      mtf_piece_end(call->shape->out[part].width, g.columns, column)};
    forward_region(call, part, &r, call->work + (size_t)worker * call->work_stride);
}

static void linear_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int n_parts = linear_n_parts(shape);
    const int64_t rows = call->span->n_rows[shape->in[LINEAR_X].space];
    if (call->work_stride > 0) {
        int64_t items = 0;
        int64_t columns = 0;
        for (int part = 0; part < n_parts; part++) {
            const grid g = wide_grid(call, part);
            items += g.row_pieces * g.column_pieces;
            columns += shape->out[part].width;
        }
        mtf_parallel_work(items, 2 * rows * columns * shape->in[LINEAR_X].width, wide_item, &call);
        return;
    }
    for (int part = 0; part < n_parts; part++) {
        const region all = {0, rows, 0, shape->out[part].width};
        if (call->out[part] != NULL) {
            forward_region(call, part, &all, call->work);
        }
    }
}

static mtf_save linear_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dw & mtf_op_linear.factors) {
        save.in = 1U << LINEAR_X;
    }
    if (shape->attrs.activation != MTF_ACT_NONE && (need.dx | need.dw) != 0) {
        save.aux = 1U;
    }
    return save;
}

/* A bias or activation counts as one operation an element; the gradient before the activation is one
 * of activations also where only the weight needs it. */
static mtf_cost linear_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    mtf_cost cost = {0};
    const double rows = (double)extent->n_rows[shape->in[LINEAR_X].space];
    for (int part = 0; part < linear_n_parts(shape); part++) {
        const double elements = rows * (double)shape->out[part].width;
        const double product = 2 * elements * (double)shape->in[LINEAR_X].width;
        const double bias = mtf_has_weight(shape, linear_bias(part)) ? elements : 0;
        const double activation = shape->attrs.activation != MTF_ACT_NONE ? elements : 0;
        cost.forward += product + bias + activation;
        if ((need.dx | need.dw) != 0) {
            cost.dx += (need.dx != 0 ? product : 0) + activation;
            cost.dw += (need.dw >> linear_weight(part) & 1U ? product : 0) +
                       (need.dw >> linear_bias(part) & 1U ? elements : 0);
        }
    }
    return cost;
}

static size_t linear_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    size_t most = 0;
    for (int part = 0; part < linear_n_parts(shape); part++) {
        const int64_t n = shape->out[part].width;
        const int64_t k = shape->in[LINEAR_X].width;
        size_t work = mtf_linear_work(n, k);
        most = work > most ? work : most;
        /* sums over K forward; backward over N (dx) and over the rows (dW) */
        const int64_t rows = extent->n_rows[shape->in[LINEAR_X].space];
        const int64_t longest = n > rows ? n : rows;
        work = mtf_precision_of(n, k, MTF_PRECISION_BF16) == MTF_PRECISION_F32
                   ? 0
                   : mtf_packed_work(backward ? longest : k);
        most = work > most ? work : most;
    }
    return most;
}

const mtf_op mtf_op_linear = {.name = "linear",
                              .locality = MTF_LOCAL_ROW,
                              .check = linear_check,
                              .forward = linear_forward,
                              .backward = mtf_linear_backward,
                              .saves = linear_saves,
                              .cost = linear_cost,
                              .work = linear_work,
                              .shared = mtf_linear_shared,
                              .factors = 1U << 0 | 1U << 2 | 1U << 4,
                              .rounds_aux = 1,
                              .in_pairs = 1};
