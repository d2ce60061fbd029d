/* Convolution with a batch norm by stored statistics, residual and ReLU: facts and forward
 * (convolution_bwd.c: backward).
 *
 *   z = windows(x) W^T + b           a row of windows: kernel x kernel pixels, down, across, column
 *   y = act(s z + t + residual)      s = norm weight / sqrt(variance + eps), t = norm bias - mean s
 *
 * act is relu, relu6 or nothing. Without the norm s = 1, t = 0. Mean and variance are constants: nothing moves them and they have no
 * gradient. The weight is read over its packed form alone, whatever its size.
 * Saved for backward: y with an activation and anything that needs a gradient (where it passes on); x where the weight
 * or the norm's weight trains. z is not: see convolution_bwd.c.
 * In bf16 x may lie in bf16, and y is rounded to it: convolution_bf16.c.
 * Windows are gathered by pieces of rows that stay in the cache; where they are the pixels themselves,
 * x is read as it is. Operations are counted as if no window left the grid.
 * Forward on many workers: cut by rows and columns of the output.
 * Bits: a row of y depends on its window alone. Tolerance family: gemm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convolution.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

static const char *const names[] = {"weight",    "bias", "norm weight",
                                    "norm bias", "mean", "variance"};

static mtf_status convolution_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "convolution", CONV_X, "x", 0, err));
    MTF_TRY(mtf_windows_check(shape, "convolution", err));
    MTF_TRY(mtf_check_weight(shape, "convolution", CONV_WEIGHT, names[CONV_WEIGHT], 0,
                             mtf_conv_taps(shape) * shape->in[CONV_X].width, err));
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    const int normed = mtf_has_weight(shape, CONV_NORM_WEIGHT);
    for (int i = CONV_BIAS; i <= CONV_VARIANCE; i++) {
        if (i == CONV_BIAS ? mtf_has_weight(shape, i) : normed || mtf_has_weight(shape, i)) {
            MTF_TRY(mtf_check_weight(shape, "convolution", i, names[i], n, 1, err));
        }
    }
    if (!normed && mtf_has_weight(shape, CONV_VARIANCE)) {
        return mtf_check_weight(shape, "convolution", CONV_NORM_WEIGHT, names[CONV_NORM_WEIGHT], n,
                                1, err);
    }
    if (normed) {
        MTF_TRY(mtf_check_eps(shape, "convolution", err));
    }
    if (mtf_has_input(shape, CONV_RESIDUAL)) {
        MTF_TRY(mtf_check_input(shape, "convolution", CONV_RESIDUAL, "residual", n, err));
        if (shape->in[CONV_RESIDUAL].space != shape->attrs.grid_space) {
            return mtf_fail(
                err, MTF_ERR_SHAPE,
                "%s: convolution expects input %d (residual) with a row a window, found "
                "rows of another space; bring it to the same grid",
                shape->label, CONV_RESIDUAL);
        }
    }
    MTF_TRY(mtf_check_clip(shape, "convolution", err));
    mtf_set_output(shape, shape->attrs.grid_space, n);
    return MTF_OK;
}

/* scale, shift (N) of columns n0 .. n1 - 1, from the norm and the bias. */
static void fold_norm(const mtf_op_call *call, const mtf_conv_region *r, mtf_real *scale,
                      mtf_real *shift)
{
    const mtf_real *bias = call->w[CONV_BIAS] != NULL ? call->w[CONV_BIAS]->master : NULL;
    for (int64_t j = r->n0; j < r->n1; j++) {
        const mtf_real mean = call->w[CONV_MEAN]->master[j] - (bias != NULL ? bias[j] : 0);
        scale[j] = call->w[CONV_NORM_WEIGHT]->master[j] * mtf_conv_rstd(call, j);
        shift[j] = call->w[CONV_NORM_BIAS]->master[j] - mean * scale[j];
    }
}

static int64_t piece_rows(const mtf_node_shape *shape)
{
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    return mtf_conv_rows(k > n ? k : n);
}

static int64_t gathered_size(const mtf_node_shape *shape)
{
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    return mtf_conv_is_product(shape) ? 0 : (piece_rows(shape) * k + 15) / 16 * 16;
}

static void forward_region(const mtf_op_call *call, const mtf_conv_region *r, mtf_real *work)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_windows windows = mtf_windows_of(call);
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    const int64_t rows = piece_rows(shape);
    const mtf_precision precision = mtf_conv_precision(shape, call->precision[CONV_WEIGHT]);
    const mtf_form *form = mtf_weight_form(call->w[CONV_WEIGHT], MTF_USE_Y, precision);
    const int normed = call->w[CONV_NORM_WEIGHT] != NULL;
    const int affine = normed || call->in[CONV_RESIDUAL] != NULL;
    const mtf_real *bias = call->w[CONV_BIAS] != NULL ? call->w[CONV_BIAS]->master : NULL;
    mtf_real *scale = work;
    mtf_real *shift = scale + mtf_conv_folded(n) / 2;
    mtf_real *gathered = scale + mtf_conv_folded(n);
    if (form == NULL) { /* the run is being stopped: forms are made before it begins */
        return;
    }
    if (normed) {
        fold_norm(call, r, scale, shift);
    }
    if (precision == MTF_PRECISION_BF16) {
        mtf_convolution_bf16(call, r, work);
        return;
    }
    for (int64_t first = r->first; first < r->last && !mtf_stopping(); first += rows) {
        const int64_t m = first + rows < r->last ? rows : r->last - first;
        const mtf_real *x = call->in[CONV_X] + first * k;
        mtf_real *y = call->out[0] + first * n;
        if (!mtf_conv_is_product(shape)) {
            mtf_windows_gather(gathered, k, call->in[CONV_X], &windows, first, m, 0, k);
            x = gathered;
        }
        const mtf_product product = {.precision = precision,
                                     .form = form,
                                     .m = m,
                                     .n = n,
                                     .k = k,
                                     .n0 = r->n0,
                                     .n1 = r->n1,
                                     .ldy = n,
                                     .xi = k,
                                     .xp = 1,
                                     .epilogue = {affine ? NULL : bias, NULL,
                                                  affine ? MTF_ACT_NONE : shape->attrs.activation,
                                                  0},
                                     .uncounted = 1};
        mtf_packed_product(y, x, &product, gathered + gathered_size(shape));
        if (affine) {
            mtf_kernel->column_affine(y + r->n0, n, normed ? scale + r->n0 : NULL,
                                      normed         ? shift + r->n0
                                      : bias != NULL ? bias + r->n0
                                                     : NULL,
                                      call->in[CONV_RESIDUAL] != NULL
                                          ? call->in[CONV_RESIDUAL] + first * n + r->n0
                                          : NULL,
                                      n, m, r->n1 - r->n0, shape->attrs.activation);
        }
    }
}

/* Among the workers: pieces of rows while there are enough of them, else columns too. */
typedef struct cut {
    int64_t rows, n_rows, columns, n_columns;
} cut;

static cut cut_of(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t rows = call->span->n_rows[shape->attrs.grid_space];
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    cut c = {.rows = piece_rows(shape)};
    c.n_rows = mtf_pieces(rows, c.rows);
    const int64_t wanted = c.n_rows > 0 ? mtf_pieces(2 * mtf_workers(), c.n_rows) : 1;
    c.columns = mtf_pieces(mtf_pieces(n, MTF_PANEL), wanted) * MTF_PANEL;
    c.n_columns = mtf_pieces(n, c.columns);
    return c;
}

static void wide_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const cut c = cut_of(call);
    const int64_t row = item / c.n_columns;
    const int64_t column = item % c.n_columns;
    const mtf_conv_region r = {
        row * c.rows, mtf_piece_end(call->span->n_rows[call->shape->attrs.grid_space], c.rows, row),
        column * c.columns,
        mtf_piece_end(call->shape->weight_rows[CONV_WEIGHT], c.columns, column)};
    forward_region(call, &r, call->work + (size_t)worker * call->work_stride);
}

static mtf_cost convolution_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                 mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->attrs.grid_space] * (double)shape->weight_rows[CONV_WEIGHT];
    const double product = 2 * elements * (double)shape->weight_cols[CONV_WEIGHT];
    const int normed = mtf_has_weight(shape, CONV_NORM_WEIGHT);
    const int relu = shape->attrs.activation != MTF_ACT_NONE;
    mtf_cost cost = {.forward =
                         product + elements * (mtf_has_weight(shape, CONV_BIAS) + 2 * normed +
                                               relu + mtf_has_input(shape, CONV_RESIDUAL))};
    if ((need.dx | need.dw) != 0) {
        cost.dx = (relu ? elements : 0) +
                  (need.dx >> CONV_X & 1U ? product + (normed ? elements : 0) : 0);
        cost.dw =
            (need.dw & CONV_BY_PRODUCT ? product : 0) + (need.dw & CONV_BY_SUMS ? elements : 0);
    }
    return cost;
}

static void convolution_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t rows = call->span->n_rows[shape->attrs.grid_space];
    mtf_extent extent = {0};
    extent.n_rows[shape->attrs.grid_space] = rows;
    const double operations = convolution_cost(shape, &extent, (mtf_need){0}).forward;
    mtf_flops_add(MTF_FLOPS_FORWARD, (int64_t)operations);
    if (call->work_stride > 0) {
        const cut c = cut_of(call);
        mtf_parallel_work(c.n_rows * c.n_columns, (int64_t)operations, wide_item, &call);
        return;
    }
    const mtf_conv_region all = {0, rows, 0, shape->weight_rows[CONV_WEIGHT]};
    forward_region(call, &all, call->work);
}

static mtf_save convolution_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    save.in = need.dw & CONV_BY_PRODUCT ? 1U << CONV_X : 0U;
    save.out = (need.dx | need.dw) != 0 && shape->attrs.activation != MTF_ACT_NONE ? 1U : 0U;
    return save;
}

static size_t convolution_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    if (backward) {
        return mtf_convolution_backward_work(shape);
    }
    const size_t plain =
        (size_t)gathered_size(shape) + mtf_packed_work(shape->weight_cols[CONV_WEIGHT]);
    const size_t bf16 = mtf_convolution_bf16_work(shape);
    return (size_t)mtf_conv_folded(shape->weight_rows[CONV_WEIGHT]) + (bf16 > plain ? bf16 : plain);
}

/* Products in bf16 round x, and then y: rounded before, x gives the same bits. */
static mtf_halves convolution_halves(const mtf_node_shape *shape, const mtf_precision *precision)
{
    const int is_bf16 = mtf_conv_precision(shape, precision[CONV_WEIGHT]) == MTF_PRECISION_BF16;
    return is_bf16 ? (mtf_halves){.in = 1U << CONV_X | 1U << CONV_RESIDUAL, .out = 1}
                   : (mtf_halves){0};
}

const mtf_op mtf_op_convolution = {.name = "convolution",
                                   .locality = MTF_LOCAL_SEQUENCE,
                                   .check = convolution_check,
                                   .forward = convolution_forward,
                                   .backward = mtf_convolution_backward,
                                   .saves = convolution_saves,
                                   .cost = convolution_cost,
                                   .work = convolution_work,
                                   .shared = mtf_convolution_shared,
                                   .halves = convolution_halves,
                                   .factors = 1U << CONV_WEIGHT,
                                   .grids = 1U << CONV_X};
