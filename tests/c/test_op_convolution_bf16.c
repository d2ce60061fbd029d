/* Convolutions in bf16 at every level: the formula over rounded operands; whether x, the residual and y
 * lie in bf16 or in floats, how images come together and who computes them changes no bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"
#include "op_harness.h"

#include "base/bf16.h"
#include "base/threads.h"

enum { GUARD_VALUES = 4096 };
enum { N_IMAGES = 4, X_HALF = 1, RESIDUAL_HALF = 2, Y_HALF = 4, ALL_WAYS = 8 };

/* 470 pixels, so that pieces of 240 rows at most are none of whole strips */
static const int64_t heights[] = {5, 9, 1, 7};
static const int64_t widths[] = {7, 41, 3, 9};

static int64_t side(const mtf_attrs *a, int64_t n)
{
    return (n + 2 * a->padding - a->kernel) / a->stride + 1;
}

/* Rounds values (n) to bf16 where they are, and gives them as such, too. */
static uint16_t *round_all(mtf_real *values, int64_t n)
{
    uint16_t *halves = malloc((size_t)n * sizeof *halves);
    for (int64_t i = 0; halves != NULL && i < n; i++) {
        halves[i] = mtf_bf16_round((float)values[i]);
        values[i] = mtf_bf16_value(halves[i]);
    }
    return halves;
}

typedef struct bf16_case {
    op_case c;
    uint16_t *x, *residual;
    int64_t n_out;
} bf16_case;

/* inputs, outputs, kernel, stride, padding; a norm or a bias; a residual or none. */
static bf16_case begin(const int64_t *k, int normed, int residual)
{
    bf16_case b = {.x = NULL};
    op_case *c = &b.c;
    int64_t out_heights[N_IMAGES];
    int64_t out_widths[N_IMAGES];
    op_begin(c, &mtf_op_convolution, heights, N_IMAGES);
    c->shape.attrs.kernel = k[2];
    c->shape.attrs.stride = k[3];
    c->shape.attrs.padding = k[4];
    c->shape.attrs.grid_space = OP_KEYS;
    c->shape.attrs.eps = (mtf_real)1e-5;
    c->shape.attrs.layout = MTF_LAYOUT_TAPS;
    c->shape.attrs.activation = residual ? MTF_ACT_RELU : MTF_ACT_NONE;
    for (int64_t s = 0; s < N_IMAGES; s++) {
        out_heights[s] = side(&c->shape.attrs, heights[s]);
        out_widths[s] = side(&c->shape.attrs, widths[s]);
    }
    op_grid(c, OP_TOKENS, heights, widths);
    op_grid(c, OP_KEYS, out_heights, out_widths);
    op_input(c, 0, OP_TOKENS, k[0]);
    if (residual) {
        op_input(c, 1, OP_KEYS, k[1]);
        b.residual = round_all(c->in[1], op_size(c, &c->shape.in[1]));
    }
    b.x = round_all(c->in[0], op_size(c, &c->shape.in[0]));
    op_weight(c, 0, k[1], k[0] * k[2] * k[2]);
    free(round_all(c->values[0], op_weight_size(c, 0)));
    for (int i = normed ? 2 : 1; i < (normed ? 6 : 2); i++) {
        op_weight(c, i, k[1], 1);
    }
    for (int64_t j = 0; normed && j < k[1]; j++) {
        c->values[5][j] = (mtf_real)1.5 + c->values[5][j];
    }
    CHECK(op_build(c));
    for (int i = 1; i < MTF_MAX_WEIGHTS; i++) {
        c->w[i].layout = MTF_LAYOUT_OUT_IN;
    }
    c->w[0].taps = k[2] * k[2];
    b.n_out = op_size(c, &c->shape.out[0]);
    return b;
}

static void end(bf16_case *b)
{
    free(b->x);
    free(b->residual);
    op_end(&b->c);
}

static void fill_form(mtf_weight *w)
{
    mtf_error err;
    CHECK_INT(mtf_form_reserve(w, MTF_USE_Y, MTF_PRECISION_BF16, &err), MTF_OK);
    mtf_form_fill(w, MTF_USE_Y, MTF_PRECISION_BF16, 0, mtf_form_panels(w, MTF_USE_Y));
    w->forms[MTF_USE_Y][MTF_PRECISION_BF16].filled = w->version + 1;
}

/* Images first .. last - 1 into y, whole; `ways`: what lies in bf16; wide: on all workers. */
static void forward(bf16_case *b, int ways, int64_t first, int64_t last, int wide, mtf_real *y)
{
    op_case *c = &b->c;
    mtf_span span = c->span;
    mtf_op_call call = {.shape = &c->shape, .span = &span};
    span.n_sequences = last - first;
    for (int space = OP_TOKENS; space <= OP_KEYS; space++) {
        span.offsets[space] = c->offsets[space] + first;
        span.widths[space] = c->widths[space] + first;
        span.n_rows[space] = c->offsets[space][last] - c->offsets[space][first];
    }
    const int64_t x_at = c->offsets[OP_TOKENS][first] * c->shape.in[0].width;
    const int64_t y_at = c->offsets[OP_KEYS][first] * c->shape.out[0].width;
    const int64_t n = span.n_rows[OP_KEYS] * c->shape.out[0].width;
    uint16_t *halves = malloc((size_t)n * sizeof *halves);
    call.in[0] = ways & X_HALF ? NULL : c->in[0] + x_at;
    call.in_half[0] = ways & X_HALF ? b->x + x_at : NULL;
    if (b->residual != NULL) {
        call.in[1] = ways & RESIDUAL_HALF ? NULL : c->in[1] + y_at;
        call.in_half[1] = ways & RESIDUAL_HALF ? b->residual + y_at : NULL;
    }
    call.out[0] = ways & Y_HALF ? NULL : y + y_at;
    call.out_half[0] = ways & Y_HALF ? halves : NULL;
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        call.w[i] = c->values[i] != NULL ? &c->w[i] : NULL;
        call.precision[i] = MTF_PRECISION_BF16;
    }
    const mtf_extent extent = op_span_extent(&span);
    const size_t work = c->op->work(&c->shape, &extent, 0);
    const int64_t room = (int64_t)work * (wide ? mtf_workers() : 1);
    call.work = op_new(room + GUARD_VALUES);
    call.work_stride = wide ? work : 0;
    c->op->forward(&call);
    for (int64_t i = 0; ways & Y_HALF && i < n; i++) {
        y[y_at + i] = mtf_bf16_value(halves[i]);
    }
    for (int64_t i = room; i < room + GUARD_VALUES; i++) {
        if (!CHECK_MSG(isnan(call.work[i]), "wrote behind its work")) {
            break;
        }
    }
    free(call.work);
    free(halves);
}

/* Column j of the window at (row, column) of image s. */
static double literal(const op_case *c, int64_t s, int64_t row, int64_t column, int64_t j)
{
    const mtf_attrs *a = &c->shape.attrs;
    const int64_t inputs = c->shape.in[0].width;
    const int64_t taps = a->kernel * a->kernel;
    double z = c->values[1] != NULL ? (double)c->values[1][j] : 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t y = row * a->stride - a->padding + t / a->kernel;
        const int64_t x = column * a->stride - a->padding + t % a->kernel;
        if (y < 0 || y >= heights[s] || x < 0 || x >= widths[s]) {
            continue;
        }
        const mtf_real *pixel = c->in[0] + (c->offsets[OP_TOKENS][s] + y * widths[s] + x) * inputs;
        for (int64_t i = 0; i < inputs; i++) {
            z += (double)pixel[i] * (double)c->values[0][(j * inputs + i) * taps + t];
        }
    }
    if (c->values[2] != NULL) {
        z = (z - (double)c->values[4][j]) / sqrt((double)c->values[5][j] + 1e-5) *
                (double)c->values[2][j] +
            (double)c->values[3][j];
    }
    const int64_t at = c->offsets[OP_KEYS][s] + row * c->widths[OP_KEYS][s] + column;
    z += c->in[1] != NULL ? (double)c->in[1][at * c->shape.out[0].width + j] : 0;
    return a->activation == MTF_ACT_RELU && z < 0 ? 0 : z;
}

static void check_formula(const bf16_case *b, const mtf_real *y)
{
    const op_case *c = &b->c;
    const int64_t outputs = c->shape.out[0].width;
    for (int64_t s = 0; s < N_IMAGES; s++) {
        const int64_t wide = c->widths[OP_KEYS][s];
        for (int64_t r = 0; r < c->offsets[OP_KEYS][s + 1] - c->offsets[OP_KEYS][s]; r++) {
            for (int64_t j = 0; j < outputs; j++) {
                const double want = literal(c, s, r / wide, r % wide, j);
                const mtf_real got = y[(c->offsets[OP_KEYS][s] + r) * outputs + j];
                if (!CHECK_CLOSE(got, want, 0x1p-8 * fabs(want) + 1e-3)) {
                    return;
                }
            }
        }
    }
}

static void check_case(bf16_case *b)
{
    const size_t bytes = (size_t)b->n_out * sizeof(mtf_real);
    mtf_real *y = op_new(b->n_out);
    mtf_real *other = op_new(b->n_out);
    fill_form(&b->c.w[0]);
    forward(b, 0, 0, N_IMAGES, 0, y);
    check_formula(b, y);
    for (int ways = 1; ways < ALL_WAYS; ways++) {
        if (!(ways & RESIDUAL_HALF) || b->residual != NULL) {
            forward(b, ways, 0, N_IMAGES, 0, other);
            CHECK_BITS(other, y, bytes);
        }
    }
    for (int64_t s = 0; s < N_IMAGES; s++) {
        forward(b, s % 2 ? X_HALF | Y_HALF : 0, s, s + 1, 0, other);
    }
    CHECK_BITS(other, y, bytes);
    forward(b, X_HALF, 0, N_IMAGES, 1, other);
    CHECK_BITS(other, y, bytes);
    forward(b, Y_HALF, 0, N_IMAGES, 1, other);
    CHECK_BITS(other, y, bytes);
    free(y);
    free(other);
}

MTF_TEST(no_bit_depends_on_where_values_lie)
{
    /* inputs, outputs, kernel, stride, padding: windows that are pixels, runs, gathered ones; sums that
     * fill no line; a weight that is not small */
    static const int64_t cases[][5] = {{64, 40, 1, 1, 0},   {35, 33, 1, 1, 0},  {64, 70, 1, 2, 0},
                                       {32, 40, 3, 1, 1},   {64, 32, 3, 2, 1},  {3, 40, 7, 2, 3},
                                       {1024, 33, 1, 1, 0}, {96, 320, 3, 1, 1}, {33, 64, 3, 1, 1}};
    mtf_kernels tables[MAX_LEVELS];
    mtf_error err;
    CHECK_INT(mtf_runtime_init(NULL, &err), MTF_OK);
    const mtf_kernels *before = mtf_kernel;
    const int n_levels = fill_levels(tables);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int parts = 0; parts < 4; parts++) {
            for (int l = 0; l < n_levels && (parts == 3 || l + 1 == n_levels); l++) {
                mtf_kernel = &tables[l];
                bf16_case b = begin(cases[i], parts & 1, parts & 2);
                check_case(&b);
                end(&b);
            }
        }
    }
    mtf_kernel = before;
}

MTF_TEST(floats_alone_in_other_precisions)
{
    static const int64_t k[] = {64, 40, 3, 1, 1};
    bf16_case b = begin(k, 1, 1);
    mtf_precision precision[MTF_MAX_WEIGHTS] = {MTF_PRECISION_F32};
    const mtf_halves none = b.c.op->halves(&b.c.shape, precision);
    CHECK(none.in == 0 && none.out == 0);
    precision[0] = MTF_PRECISION_BF16;
    const mtf_halves some = b.c.op->halves(&b.c.shape, precision);
    CHECK(some.in == 3 && some.out == 1);
    end(&b);
}
