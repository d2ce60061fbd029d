/* The rows that layers of a vision transformer read: class token, patches, positions.
 *
 *   y = [cls + p0 ; distillation + p1 ; registers ; patches + P]     for each picture
 *
 * p0, p1: the first rows of the table of positions, as many as it has before its grid; P: its grid,
 * or, for pictures of another grid, that grid drawn over by bicubic interpolation (image_cubic.c).
 * It is linear in the table: dtable takes each row's dy by the same weights. dcls, ddistillation and
 * dregisters are sums over the pictures. Nothing is saved.
 * FLOPs: an addition an element that has a position, and an element of each gradient; how positions are
 * interpolated, which no price can know, is not counted.
 * Cut: forward by sequences; backward by columns, each visiting pictures in order. Tolerance family:
 * elementwise, interpolated positions and gradients of weights: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "image_tokens.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { COLUMNS = 64 };

static int64_t weight_size(const mtf_node_shape *shape, int weight)
{
    return shape->weight_rows[weight] * shape->weight_cols[weight];
}

static int64_t grid_size(const mtf_node_shape *shape)
{
    return shape->attrs.grid_height * shape->attrs.grid_width;
}

static int64_t n_registers(const mtf_node_shape *shape)
{
    return weight_size(shape, IMAGE_REGISTERS) / shape->in[0].width;
}

/* Rows of a picture before its patches. */
static int64_t n_lead(const mtf_node_shape *shape)
{
    return 1 + mtf_has_weight(shape, IMAGE_DISTILLATION) + n_registers(shape);
}

static int64_t first_register(const mtf_node_shape *shape)
{
    return 1 + mtf_has_weight(shape, IMAGE_DISTILLATION);
}

static mtf_status check_size(const mtf_node_shape *shape, int weight, const char *name,
                             int64_t size, mtf_error *err)
{
    if (weight_size(shape, weight) == size) {
        return MTF_OK;
    }
    return mtf_fail(err, MTF_ERR_SHAPE,
                    "%s: image_tokens expects %lld values of weight %d (%s), found %lld; correct "
                    "the configuration",
                    shape->label, (long long)size, weight, name,
                    (long long)weight_size(shape, weight));
}

static mtf_status image_tokens_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "image_tokens", 0, "patches", 0, err));
    const int64_t c = shape->in[0].width;
    const mtf_attrs *attrs = &shape->attrs;
    if (attrs->grid_height < 1 || attrs->grid_width < 1 || attrs->grid_lead < 0 ||
        attrs->grid_lead > first_register(shape)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: image_tokens expects a table of positions for a grid of at least 1 x "
                        "1, with rows before it for the class tokens that there are at most; found "
                        "%lld x %lld and %d",
                        shape->label, (long long)attrs->grid_height, (long long)attrs->grid_width,
                        (int)attrs->grid_lead);
    }
    MTF_TRY(check_size(shape, IMAGE_CLS, "class token", c, err));
    if (mtf_has_weight(shape, IMAGE_DISTILLATION)) {
        MTF_TRY(check_size(shape, IMAGE_DISTILLATION, "distillation token", c, err));
    }
    MTF_TRY(check_size(shape, IMAGE_REGISTERS, "registers", n_registers(shape) * c, err));
    MTF_TRY(check_size(shape, IMAGE_POSITIONS, "positions",
                       (attrs->grid_lead + grid_size(shape)) * c, err));
    mtf_set_output(shape, attrs->token_space, c);
    return MTF_OK;
}

/* One picture of a span. */
typedef struct picture {
    int64_t height, width, patches; /* its grid, and its first patch's row in the span */
    int64_t tokens;                 /* its first row of the output */
    int as_table;                   /* its grid is that of the table */
} picture;

static picture picture_of(const mtf_op_call *call, int64_t sequence)
{
    const mtf_node_shape *shape = call->shape;
    const int32_t space = shape->in[0].space;
    picture p = {.height = mtf_span_height(call->span, space, sequence),
                 .width = mtf_span_width(call->span, space, sequence),
                 .patches = mtf_span_start(call->span, space, sequence),
                 .tokens = mtf_span_start(call->span, shape->attrs.token_space, sequence)};
    p.as_table = p.height == shape->attrs.grid_height && p.width == shape->attrs.grid_width;
    return p;
}

/* y (n) += weight * x (n) */
static void add_scaled(mtf_real *y, const mtf_real *x, mtf_real weight, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] += weight * x[j];
    }
}

/* Columns of patches over the table: `drawn` (grid_height, C) is the table at column `column` of a
 * picture; y points at its first patch. */
static void add_column(const mtf_op_call *call, const picture *p, int64_t column, mtf_real *y,
                       mtf_real *drawn)
{
    const mtf_attrs *attrs = &call->shape->attrs;
    const int64_t c = call->shape->in[0].width;
    const mtf_real *table = call->w[IMAGE_POSITIONS]->master + attrs->grid_lead * c;
    const mtf_cubic_side across =
        mtf_cubic_place(attrs->grid_width, p->width, column, attrs->antialias);
    memset(drawn, 0, (size_t)(attrs->grid_height * c) * sizeof *drawn);
    for (int64_t j = across.first; j <= across.last; j++) {
        const mtf_real weight = mtf_cubic_weight(&across, j);
        for (int64_t i = 0; i < attrs->grid_height; i++) {
            add_scaled(drawn + i * c, table + (i * attrs->grid_width + j) * c, weight, c);
        }
    }
    for (int64_t row = 0; row < p->height; row++) {
        const mtf_cubic_side down =
            mtf_cubic_place(attrs->grid_height, p->height, row, attrs->antialias);
        for (int64_t i = down.first; i <= down.last; i++) {
            add_scaled(y + (row * p->width + column) * c, drawn + i * c, mtf_cubic_weight(&down, i),
                       c);
        }
    }
}

static void forward_lead(const mtf_op_call *call, mtf_real *y)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[0].width;
    const size_t row = (size_t)c * sizeof *y;
    memcpy(y, call->w[IMAGE_CLS]->master, row);
    if (call->w[IMAGE_DISTILLATION] != NULL) {
        memcpy(y + c, call->w[IMAGE_DISTILLATION]->master, row);
    }
    if (call->w[IMAGE_REGISTERS] != NULL) {
        memcpy(y + first_register(shape) * c, call->w[IMAGE_REGISTERS]->master,
               (size_t)n_registers(shape) * row);
    }
    mtf_kernel->add_to(y, call->w[IMAGE_POSITIONS]->master, shape->attrs.grid_lead * c);
}

static void image_tokens_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[0].width, lead = shape->attrs.grid_lead;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const picture p = picture_of(call, s);
        const int64_t n = p.height * p.width * c;
        mtf_real *y = call->out[0] + (p.tokens + n_lead(shape)) * c;
        forward_lead(call, call->out[0] + p.tokens * c);
        memcpy(y, call->in[0] + p.patches * c, (size_t)n * sizeof *y);
        if (p.as_table) {
            mtf_kernel->add_to(y, call->w[IMAGE_POSITIONS]->master + lead * c, n);
        } else {
            for (int64_t column = 0; column < p.width; column++) {
                add_column(call, &p, column, y, call->work);
            }
        }
        mtf_flops_add(MTF_FLOPS_FORWARD, n + lead * c);
    }
}

/* ---- backward ---- */

/* dw (rows, C) of weight `weight`, columns first .. first + n - 1: of n_rows rows of each picture from row
 * `from` of it. */
static void add_rows(const mtf_op_call *call, int weight, int64_t table_row, int64_t from,
                     int64_t n_rows, int64_t first, int64_t n)
{
    const int64_t c = call->shape->in[0].width;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const int64_t row = mtf_span_start(call->span, call->shape->attrs.token_space, s) + from;
        for (int64_t i = 0; i < n_rows; i++) {
            mtf_kernel->add_to(call->dw[weight] + (table_row + i) * c + first,
                               call->dout[0] + (row + i) * c + first, n);
        }
    }
    mtf_flops_add(MTF_FLOPS_DW, call->span->n_sequences * n_rows * n);
}

/* The reverse of add_column for columns first .. first + n - 1; `drawn` (grid_height, n), dy at the first
 * patch. */
static void spread_column(const mtf_op_call *call, const picture *p, int64_t column,
                          const mtf_real *dy, mtf_real *drawn, int64_t first, int64_t n)
{
    const mtf_attrs *attrs = &call->shape->attrs;
    const int64_t c = call->shape->in[0].width;
    mtf_real *table = call->dw[IMAGE_POSITIONS] + attrs->grid_lead * c + first;
    memset(drawn, 0, (size_t)(attrs->grid_height * n) * sizeof *drawn);
    for (int64_t row = 0; row < p->height; row++) {
        const mtf_cubic_side down =
            mtf_cubic_place(attrs->grid_height, p->height, row, attrs->antialias);
        for (int64_t i = down.first; i <= down.last; i++) {
            add_scaled(drawn + i * n, dy + (row * p->width + column) * c + first,
                       mtf_cubic_weight(&down, i), n);
        }
    }
    const mtf_cubic_side across =
        mtf_cubic_place(attrs->grid_width, p->width, column, attrs->antialias);
    for (int64_t j = across.first; j <= across.last; j++) {
        const mtf_real weight = mtf_cubic_weight(&across, j);
        for (int64_t i = 0; i < attrs->grid_height; i++) {
            add_scaled(table + (i * attrs->grid_width + j) * c, drawn + i * n, weight, n);
        }
    }
}

static void add_grids(const mtf_op_call *call, mtf_real *drawn, int64_t first, int64_t n)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[0].width;
    mtf_real *table = call->dw[IMAGE_POSITIONS] + shape->attrs.grid_lead * c + first;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const picture p = picture_of(call, s);
        const int64_t n_patches = p.height * p.width;
        const mtf_real *dy = call->dout[0] + (p.tokens + n_lead(shape)) * c;
        for (int64_t i = 0; p.as_table && i < n_patches; i++) {
            mtf_kernel->add_to(table + i * c, dy + i * c + first, n);
        }
        for (int64_t column = 0; !p.as_table && column < p.width; column++) {
            spread_column(call, &p, column, dy, drawn, first, n);
        }
        mtf_flops_add(MTF_FLOPS_DW, n_patches * n);
    }
}

static void clear_columns(const mtf_op_call *call, int weight, int64_t first, int64_t n)
{
    const int64_t c = call->shape->in[0].width;
    const int64_t rows = weight_size(call->shape, weight) / c;
    for (int64_t i = 0; i < rows && !call->dw_add[weight]; i++) {
        memset(call->dw[weight] + i * c + first, 0, (size_t)n * sizeof(mtf_real));
    }
}

/* The gradients of all weights in a range of columns. */
static void weights_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_node_shape *shape = call->shape;
    const int64_t first = item * COLUMNS;
    const int64_t n = mtf_piece_end(shape->in[0].width, COLUMNS, item) - first;
    for (int w = IMAGE_CLS; w <= IMAGE_POSITIONS; w++) {
        if (call->dw[w] != NULL) {
            clear_columns(call, w, first, n);
        }
    }
    if (call->dw[IMAGE_CLS] != NULL) {
        add_rows(call, IMAGE_CLS, 0, 0, 1, first, n);
    }
    if (call->dw[IMAGE_DISTILLATION] != NULL) {
        add_rows(call, IMAGE_DISTILLATION, 0, 1, 1, first, n);
    }
    if (call->dw[IMAGE_REGISTERS] != NULL) {
        add_rows(call, IMAGE_REGISTERS, 0, first_register(shape), n_registers(shape), first, n);
    }
    if (call->dw[IMAGE_POSITIONS] != NULL) {
        add_rows(call, IMAGE_POSITIONS, 0, 0, shape->attrs.grid_lead, first, n);
        add_grids(call, call->work + (size_t)worker * call->work_stride, first, n);
    }
}

/* Patches take what their rows are given. */
static void patches_item(void *context, int64_t sequence, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[0].width;
    const picture p = picture_of(call, sequence);
    const int64_t n = p.height * p.width * c;
    const mtf_real *dy = call->dout[0] + (p.tokens + n_lead(call->shape)) * c;
    mtf_real *dx = call->din[0] + p.patches * c;
    (void)worker;
    if (call->din_add[0]) {
        mtf_kernel->add_to(dx, dy, n);
    } else {
        memcpy(dx, dy, (size_t)n * sizeof *dx);
    }
}

static void image_tokens_backward(const mtf_op_call *call)
{
    int trains = 0;
    for (int w = IMAGE_CLS; w <= IMAGE_POSITIONS; w++) {
        trains |= call->dw[w] != NULL;
    }
    if (trains) {
        mtf_parallel_for(mtf_pieces(call->shape->in[0].width, COLUMNS), weights_item, &call);
    }
    if (call->din[0] != NULL) {
        mtf_parallel_for(call->span->n_sequences, patches_item, &call);
    }
}

static mtf_cost image_tokens_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                  mtf_need need)
{
    const double c = (double)shape->in[0].width;
    const double pictures = (double)extent->n_rows[MTF_SPACE_SEQUENCES];
    const double placed =
        (double)extent->n_rows[shape->in[0].space] + pictures * (double)shape->attrs.grid_lead;
    double reached = 0;
    reached += (need.dw >> IMAGE_CLS & 1U) ? pictures : 0;
    reached += (need.dw >> IMAGE_DISTILLATION & 1U) ? pictures : 0;
    reached += (need.dw >> IMAGE_REGISTERS & 1U) ? pictures * (double)n_registers(shape) : 0;
    reached += (need.dw >> IMAGE_POSITIONS & 1U) ? placed : 0;
    return (mtf_cost){.forward = placed * c, .dx = 0, .dw = reached * c};
}

/* The table at one column of a picture. */
static size_t image_tokens_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    const int64_t c = shape->in[0].width;
    (void)extent;
    return (size_t)(shape->attrs.grid_height * (backward && c > COLUMNS ? COLUMNS : c));
}

const mtf_op mtf_op_image_tokens = {.name = "image_tokens",
                                    .locality = MTF_LOCAL_SEQUENCE,
                                    .check = image_tokens_check,
                                    .forward = image_tokens_forward,
                                    .backward = image_tokens_backward,
                                    .saves = mtf_saves_nothing,
                                    .cost = image_tokens_cost,
                                    .work = image_tokens_work,
                                    .grids = 1U};
