/* Backward of convolutions; formulas of forward in convolution.c.
 *
 *   g = dy relu'(y)       dresidual = g       d norm bias = sums of g by columns
 *   dx[pixel] = sum over the taps t whose window w(t) exists of  (s g[w(t)]) W[t]
 *   G = g^T windows(x)    dW = s G            db = s sums
 *   d norm weight = (sum of G W over a row - (mean - b) sums) / sqrt(variance + eps)
 *
 * The last line is the sum of g (z - mean) / sqrt(variance + eps) without z = windows W^T + b, so z is
 * not kept; where only the norm's weight trains, G is made for it.
 *
 * First region: g, by rows, and its copy for the residual; the weight into panels for dx,
 * unless it keeps them as a form (mtf_keeps_dx_form).
 * Second: G by columns of windows, which each item gathers for itself, rows in order; dx by pixels:
 * those whose y and x leave the same remainders by the stride have the same taps, and each tap is one
 * product over gathered rows of s g; sums by columns. Third: what follows from G and the sums.
 * Work is cut by shape: a row of dx depends on its image alone, G and sums add over rows in order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convolution.h"

#include "../base/compiler.h"
#include "../base/threads.h"
#include "span.h"

#include <string.h>

enum {
    G_ROWS = 64,
    DW_COLUMNS = 8 * MTF_PANEL, /* in fp32; each item reads all of g, so fewer items read less */
    DW_COLUMNS_REDUCED = 4 * MTF_PANEL,
    DW_OUTPUTS = 256,
    DW_GATHERED = DW_COLUMNS * MTF_CHAIN, /* values that are gathered at once */
    DW_MOST_ROWS = DW_GATHERED / DW_COLUMNS_REDUCED,
    BIAS_COLUMNS = 64,
    FILL_PANELS = 2,
    FINISH_OUTPUTS = 8
};

/* Where things begin in the shared scratch, in elements. */
typedef struct layout {
    size_t g, panels, product, sums, size;
} layout;

static layout lay_out(const mtf_node_shape *shape, int64_t rows, mtf_need need,
                      mtf_precision precision)
{
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    const mtf_precision used = mtf_conv_precision(shape, precision);
    layout l = {0};
    l.g = mtf_conv_place(&l.size, shape->attrs.activation != MTF_ACT_NONE, (size_t)(rows * n));
    l.panels = mtf_conv_place(
        &l.size, (need.dx >> CONV_X & 1U) && !mtf_keeps_dx_form(need.dw >> CONV_WEIGHT & 1U, used),
        (size_t)mtf_conv_taps(shape) * mtf_packed_x_size(n, shape->in[CONV_X].width, used));
    l.product = mtf_conv_place(&l.size, (need.dw & CONV_BY_PRODUCT) != 0, (size_t)(n * k));
    l.sums = mtf_conv_place(&l.size, (need.dw & CONV_BY_SUMS) != 0, (size_t)n);
    return l;
}

size_t mtf_convolution_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                              mtf_precision precision)
{
    return lay_out(shape, extent->n_rows[shape->attrs.grid_space], need, precision).size;
}

typedef struct conv_job {
    const mtf_op_call *call;
    mtf_windows windows;
    mtf_precision precision;
    int64_t rows, rows_in, n, k, inputs; /* rows of y and of x */
    const mtf_real *g;                   /* (rows, n) */
    mtf_real *own_g, *product, *sums; /* product (n, k) as windows have their columns; sums (n) */
    mtf_form own_form;                /* of a weight that keeps none */
    const mtf_form *form;             /* of dx; NULL: no dx */
    int64_t n_g, n_dw, n_dx, dx_rows; /* items; pixels of one of dx */
    int64_t dw_columns;               /* of one of dW */
} conv_job;

/* Pixels of an item of dx, and what all of them need. */
static int64_t dx_rows_of(const mtf_node_shape *shape)
{
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    const int64_t inputs = shape->in[CONV_X].width;
    return mtf_conv_rows(n > inputs ? n : inputs);
}

size_t mtf_convolution_backward_work(const mtf_node_shape *shape)
{
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    const int64_t inputs = shape->in[CONV_X].width;
    const size_t dw = 2 * (size_t)DW_GATHERED + mtf_packed_work(DW_MOST_ROWS);
    const size_t dx =
        (size_t)((n + 15) / 16 * 16 + dx_rows_of(shape) * (n + inputs)) + 64 + mtf_packed_work(n);
    return dw > dx ? dw : dx;
}

static void first_item(void *context, int64_t item, int worker)
{
    const conv_job *job = context;
    const mtf_op_call *call = job->call;
    (void)worker;
    if (item >= job->n_g) {
        const mtf_weight *w = call->w[CONV_WEIGHT];
        mtf_form_pack(job->own_form.panels, w, MTF_USE_DX, job->precision,
                      (item - job->n_g) * FILL_PANELS,
                      mtf_piece_end(mtf_form_panels(w, MTF_USE_DX), FILL_PANELS, item - job->n_g));
        return;
    }
    const int64_t first = item * G_ROWS * job->n;
    const int64_t size = mtf_piece_end(job->rows, G_ROWS, item) * job->n - first;
    if (job->own_g != NULL) {
        mtf_kernel->act_bwd(job->own_g + first, call->dout[0] + first, call->out[0] + first, size,
                            call->shape->attrs.activation);
    }
    mtf_real *residual = call->din[CONV_RESIDUAL];
    if (residual != NULL && call->din_add[CONV_RESIDUAL]) {
        mtf_kernel->add_to(residual + first, job->g + first, size);
    } else if (residual != NULL) {
        memcpy(residual + first, job->g + first, (size_t)size * sizeof *residual);
    }
}

/* Columns k0 .. of m windows as panels; gathered: room for them as rows. In fp32 whole panels of one
 * pixel are gathered as they are. */
static void fill_panels(const conv_job *job, mtf_real *panels, int64_t first, int64_t m, int64_t k0,
                        int64_t columns, mtf_real *gathered)
{
    const mtf_real *x = job->call->in[CONV_X];
    if (job->precision == MTF_PRECISION_F32 && job->inputs % MTF_PANEL == 0) {
        mtf_windows_panels(panels, x, &job->windows, first, m, k0, k0 + columns);
        return;
    }
    mtf_windows_gather(gathered, columns, x, &job->windows, first, m, k0, k0 + columns);
    mtf_packed_x_fill(panels, gathered, m, columns, job->precision, 0,
                      mtf_pieces(columns, MTF_PANEL));
}

/* Columns of G for some outputs, all rows in order. */
static void dw_item(const conv_job *job, int64_t item, mtf_real *work)
{
    const int64_t n_columns = mtf_pieces(job->k, job->dw_columns);
    const int64_t k0 = item % n_columns * job->dw_columns;
    const int64_t columns = mtf_piece_end(job->k, job->dw_columns, item % n_columns) - k0;
    const int64_t o0 = item / n_columns * DW_OUTPUTS;
    const int64_t rows = DW_GATHERED / job->dw_columns; /* whole chains, so all cuts sum alike */
    mtf_real *panels = work + DW_GATHERED;
    const mtf_form form = {.panels = panels};
    mtf_product product = {.precision = job->precision,
                           .form = &form,
                           .m = mtf_piece_end(job->n, DW_OUTPUTS, item / n_columns) - o0,
                           .n = columns,
                           .n1 = columns,
                           .ldy = job->k,
                           .xi = 1,
                           .xp = job->n,
                           .uncounted = 1};
    for (int64_t first = 0; first < job->rows && !mtf_stopping(); first += rows) {
        product.k = first + rows < job->rows ? rows : job->rows - first;
        product.epilogue.add = first > 0;
        fill_panels(job, panels, first, product.k, k0, columns, work);
        mtf_packed_product(job->product + o0 * job->k + k0, job->g + first * job->n + o0, &product,
                           panels + DW_GATHERED);
    }
}

/* A pixel of an item, and the windows of its image. */
typedef struct pixel {
    int64_t y, x; /* in the grid with its border */
    int64_t out_begin, out_height, out_width;
} pixel;

static void find_pixels(pixel *pixels, const mtf_windows *w, int64_t first, int64_t m)
{
    int64_t sequence = mtf_span_find(w->span, w->in_space, first);
    mtf_image image = mtf_windows_image(w, sequence);
    for (int64_t r = 0; r < m; r++) {
        while (first + r >= mtf_span_start(w->span, w->in_space, sequence + 1)) {
            image = mtf_windows_image(w, ++sequence);
        }
        const int64_t place = first + r - image.in_begin;
        pixels[r] = (pixel){.y = place / image.in_width + image.top,
                            .x = place % image.in_width + image.left,
                            .out_begin = image.out_begin,
                            .out_height = image.out_height,
                            .out_width = image.out_width};
    }
}

/* to (n) = the row of s g whose window has the pixel at place (down, across); zeros: there is none. */
static void gather_window(mtf_real *to, const conv_job *job, const mtf_real *scale, const pixel *p,
                          int64_t down, int64_t across)
{
    const int64_t y = (p->y - down) / job->windows.stride;
    const int64_t x = (p->x - across) / job->windows.stride;
    if (p->y < down || p->x < across || y >= p->out_height || x >= p->out_width) {
        memset(to, 0, (size_t)job->n * sizeof *to);
        return;
    }
    const mtf_real *from = job->g + (p->out_begin + y * p->out_width + x) * job->n;
    if (scale == NULL) {
        memcpy(to, from, (size_t)job->n * sizeof *to);
        return;
    }
    for (int64_t j = 0; j < job->n; j++) {
        to[j] = from[j] * scale[j];
    }
}

/* The gradients y (m, inputs) of the m chosen pixels, with `add` beside what y holds; 0: no tap
 * reaches them, and y is as it was. */
static int dx_class(const conv_job *job, mtf_real *y, const pixel *pixels, const int64_t *chosen,
                    int64_t m, const mtf_real *scale, int add, mtf_real *gathered, mtf_real *work)
{
    const mtf_windows *w = &job->windows;
    mtf_product product = {.precision = job->precision,
                           .m = m,
                           .n = job->inputs,
                           .k = job->n,
                           .n1 = job->inputs,
                           .ldy = job->inputs,
                           .xi = job->n,
                           .xp = 1,
                           .epilogue = {NULL, NULL, MTF_ACT_NONE, add},
                           .uncounted = 1};
    int any = 0;
    for (int64_t down = pixels[chosen[0]].y % w->stride; down < w->kernel; down += w->stride) {
        for (int64_t across = pixels[chosen[0]].x % w->stride; across < w->kernel;
             across += w->stride) {
            const mtf_form form = mtf_form_tap(job->form, job->inputs, job->n,
                                               down * w->kernel + across, job->precision);
            for (int64_t i = 0; i < m; i++) {
                gather_window(gathered + i * job->n, job, scale, &pixels[chosen[i]], down, across);
            }
            product.form = &form;
            mtf_packed_product(y, gathered, &product, work);
            product.epilogue.add = any = 1;
        }
    }
    return any;
}

static void put_rows(mtf_real *dx, const mtf_real *rows, const int64_t *chosen, int64_t m,
                     int64_t width, int any, int add)
{
    for (int64_t i = 0; i < m; i++) {
        mtf_real *to = dx + chosen[i] * width;
        if (any && add) {
            mtf_kernel->add_to(to, rows + i * width, width);
        } else if (any) {
            memcpy(to, rows + i * width, (size_t)width * sizeof *to);
        } else if (!add) {
            memset(to, 0, (size_t)width * sizeof *to);
        }
    }
}

static void dx_item(const conv_job *job, int64_t item, mtf_real *work)
{
    const mtf_op_call *call = job->call;
    const int64_t stride = job->windows.stride;
    const int64_t first = item * job->dx_rows;
    const int64_t m = mtf_piece_end(job->rows_in, job->dx_rows, item) - first;
    const int normed = call->w[CONV_NORM_WEIGHT] != NULL;
    const int add = call->din_add[CONV_X];
    mtf_real *dx = call->din[CONV_X] + first * job->inputs;
    mtf_real *scale = work;
    mtf_real *gathered = scale + (job->n + 15) / 16 * 16;
    mtf_real *rows = gathered + (job->dx_rows * job->n + 15) / 16 * 16;
    mtf_real *product_work = rows + (job->dx_rows * job->inputs + 15) / 16 * 16;
    pixel pixels[CONV_MOST_ROWS];
    int64_t chosen[CONV_MOST_ROWS];
    find_pixels(pixels, &job->windows, first, m);
    for (int64_t j = 0; normed && j < job->n; j++) {
        scale[j] = call->w[CONV_NORM_WEIGHT]->master[j] * mtf_conv_rstd(call, j);
    }
    for (int64_t down = 0; down < stride; down++) {
        for (int64_t across = 0; across < stride; across++) {
            int64_t n_chosen = 0;
            for (int64_t r = 0; r < m; r++) {
                if (pixels[r].y % stride == down && pixels[r].x % stride == across) {
                    chosen[n_chosen++] = r;
                }
            }
            if (n_chosen == 0 || mtf_stopping()) {
                continue;
            }
            const int all = stride == 1; /* then dx itself takes the sums */
            const int any = dx_class(job, all ? dx : rows, pixels, chosen, n_chosen,
                                     normed ? scale : NULL, all && add, gathered, product_work);
            if (!all || !any) {
                put_rows(dx, rows, chosen, n_chosen, job->inputs, any, add);
            }
        }
    }
}

static void second_item(void *context, int64_t item, int worker)
{
    const conv_job *job = context;
    mtf_real *work = job->call->work + (size_t)worker * job->call->work_stride;
    if (item < job->n_dw) {
        dw_item(job, item, work);
    } else if (item < job->n_dw + job->n_dx) {
        dx_item(job, item - job->n_dw, work);
    } else {
        item -= job->n_dw + job->n_dx;
        const int64_t first = item * BIAS_COLUMNS;
        mtf_kernel->column_sum(job->sums + first, job->g + first, job->n, job->rows,
                               mtf_piece_end(job->n, BIAS_COLUMNS, item) - first, 0);
    }
}

enum { DOTS = 8 }; /* sums that a dot product is made in, so that none waits for the one before */

/* Adds the products of g (n) and w, whose values lie `step` apart, to dots (DOTS). */
static inline void add_products(double *MTF_RESTRICT dots, const mtf_real *g, const mtf_real *w,
                                int64_t n, int64_t step)
{
    int64_t i = 0;
    for (; i + DOTS <= n; i += DOTS) {
        for (int64_t d = 0; d < DOTS; d++) {
            dots[d] += (double)g[i + d] * (double)w[(i + d) * step];
        }
    }
    for (int64_t d = 0; i < n; i++, d++) {
        dots[d] += (double)g[i] * (double)w[i * step];
    }
}

/* The sum of g w over one row of the weight; g (taps, inputs), w (inputs, taps). */
static double dot_row(const mtf_real *g, const mtf_real *w, int64_t inputs, int64_t taps)
{
    double dots[DOTS] = {0};
    if (taps == 1) {
        add_products(dots, g, w, inputs, 1);
    }
    for (int64_t tap = 0; taps > 1 && tap < taps; tap++) {
        add_products(dots, g + tap * inputs, w + tap, inputs, taps);
    }
    for (int n = DOTS / 2; n > 0; n /= 2) {
        for (int d = 0; d < n; d++) {
            dots[d] += dots[d + n];
        }
    }
    return dots[0];
}

/* dw (inputs, taps) = [dw +] scale g; g (taps, inputs). Written as dw lies, without a division a term. */
static void put_row(mtf_real *MTF_RESTRICT dw, const mtf_real *MTF_RESTRICT g, int64_t inputs,
                    int64_t taps, mtf_real scale, int add)
{
    if (taps == 1) {
        for (int64_t i = 0; i < inputs; i++) {
            dw[i] = add ? dw[i] + scale * g[i] : scale * g[i];
        }
        return;
    }
    for (int64_t i = 0; i < inputs; i++, dw += taps) {
        for (int64_t tap = 0; tap < taps; tap++) {
            const mtf_real value = scale * g[tap * inputs + i];
            dw[tap] = add ? dw[tap] + value : value;
        }
    }
}

/* Everything of one output that follows from its row of G and its sum. */
static void finish_output(const conv_job *job, int64_t o)
{
    const mtf_op_call *call = job->call;
    const mtf_real rstd = call->w[CONV_NORM_WEIGHT] != NULL ? mtf_conv_rstd(call, o) : 1;
    const mtf_real scale =
        call->w[CONV_NORM_WEIGHT] != NULL ? rstd * call->w[CONV_NORM_WEIGHT]->master[o] : 1;
    const int64_t taps = mtf_conv_taps(call->shape);
    const mtf_real *product = job->product != NULL ? job->product + o * job->k : NULL;
    if (call->dw[CONV_WEIGHT] != NULL) {
        put_row(call->dw[CONV_WEIGHT] + o * job->k, product, job->inputs, taps, scale,
                call->dw_add[CONV_WEIGHT]);
    }
    if (call->dw[CONV_BIAS] != NULL) {
        mtf_conv_put(call, CONV_BIAS, o, scale * job->sums[o]);
    }
    if (call->dw[CONV_NORM_BIAS] != NULL) {
        mtf_conv_put(call, CONV_NORM_BIAS, o, job->sums[o]);
    }
    if (call->dw[CONV_NORM_WEIGHT] != NULL) {
        const double dot =
            dot_row(product, call->w[CONV_WEIGHT]->master + o * job->k, job->inputs, taps);
        const double mean =
            (double)call->w[CONV_MEAN]->master[o] -
            (call->w[CONV_BIAS] != NULL ? (double)call->w[CONV_BIAS]->master[o] : 0);
        mtf_conv_put(call, CONV_NORM_WEIGHT, o,
                     (mtf_real)((double)rstd * (dot - mean * (double)job->sums[o])));
    }
}

static void third_item(void *context, int64_t item, int worker)
{
    const conv_job *job = context;
    (void)worker;
    for (int64_t o = item * FINISH_OUTPUTS; o < mtf_piece_end(job->n, FINISH_OUTPUTS, item); o++) {
        finish_output(job, o);
    }
}

void mtf_convolution_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_need need = mtf_conv_need(call);
    conv_job job = {.call = call,
                    .windows = mtf_windows_of(call),
                    .precision = mtf_conv_precision(shape, call->grad_precision),
                    .rows = call->span->n_rows[shape->attrs.grid_space],
                    .rows_in = call->span->n_rows[shape->in[CONV_X].space],
                    .n = shape->weight_rows[CONV_WEIGHT],
                    .k = shape->weight_cols[CONV_WEIGHT],
                    .inputs = shape->in[CONV_X].width,
                    .dx_rows = dx_rows_of(shape)};
    const layout l = lay_out(shape, job.rows, need, call->grad_precision);
    job.own_g = mtf_conv_shared(call, l.g);
    job.g = job.own_g != NULL ? job.own_g : call->dout[0];
    job.product = mtf_conv_shared(call, l.product);
    job.sums = mtf_conv_shared(call, l.sums);
    job.own_form.panels = mtf_conv_shared(call, l.panels);
    const int64_t product = 2 * job.rows * job.n * job.k;
    int64_t packs = 0;
    int64_t operations = 0;
    if (job.own_form.panels != NULL) {
        job.form = &job.own_form;
        packs = mtf_pieces(mtf_form_panels(call->w[CONV_WEIGHT], MTF_USE_DX), FILL_PANELS);
    } else if (need.dx != 0) {
        job.form = mtf_weight_form(call->w[CONV_WEIGHT], MTF_USE_DX, job.precision);
    }
    if (job.own_g != NULL || call->din[CONV_RESIDUAL] != NULL) {
        job.n_g = mtf_pieces(job.rows, G_ROWS);
    }
    if (job.product != NULL) {
        job.dw_columns = job.precision == MTF_PRECISION_F32 ? DW_COLUMNS : DW_COLUMNS_REDUCED;
        job.n_dw = mtf_pieces(job.k, job.dw_columns) * mtf_pieces(job.n, DW_OUTPUTS);
        operations += product;
        mtf_flops_add(MTF_FLOPS_DW, product);
    }
    if (job.form != NULL) { /* without one the run is being stopped */
        job.n_dx = mtf_pieces(job.rows_in, job.dx_rows);
        operations += product;
        mtf_flops_add(MTF_FLOPS_DX,
                      product + (call->w[CONV_NORM_WEIGHT] != NULL ? job.rows * job.n : 0));
    }
    const int64_t n_sums = job.sums != NULL ? mtf_pieces(job.n, BIAS_COLUMNS) : 0;
    if (job.n_g + packs > 0) {
        mtf_parallel_work(job.n_g + packs, job.rows * job.n, first_item, &job);
    }
    mtf_parallel_work(job.n_dw + job.n_dx + n_sums, operations, second_item, &job);
    if (need.dw != 0) {
        mtf_parallel_work(mtf_pieces(job.n, FINISH_OUTPUTS), 4 * job.n * job.k, third_item, &job);
    }
}
