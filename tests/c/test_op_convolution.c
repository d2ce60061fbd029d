/* Convolutions: the formula, taken literally in double; the laws with every choice of norm, bias,
 * residual, ReLU, kernel, stride and border; forms in every precision.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

#define RESIDUAL 1U
#define BIAS     2U
#define NORM     4U
#define RELU     8U

enum { N_IMAGES = 4 };

static const int64_t heights[] = {5, 1, 8, 7};
static const int64_t widths[] = {7, 3, 4, 7};

static int64_t side(const mtf_attrs *a, int64_t n)
{
    return (n + 2 * a->padding - a->kernel) / a->stride + 1;
}

/* A case of `n` images; norms away from 0, so that scales are neither tiny nor huge. */
static void begin(op_case *c, int64_t n, int64_t inputs, int64_t outputs, int64_t kernel,
                  int64_t stride, int64_t padding, unsigned parts)
{
    int64_t out_heights[N_IMAGES] = {0};
    int64_t out_widths[N_IMAGES] = {0};
    op_begin(c, &mtf_op_convolution, heights, n);
    c->shape.attrs.kernel = kernel;
    c->shape.attrs.stride = stride;
    c->shape.attrs.padding = padding;
    c->shape.attrs.grid_space = OP_KEYS;
    c->shape.attrs.eps = (mtf_real)1e-5;
    c->shape.attrs.layout = MTF_LAYOUT_TAPS;
    c->shape.attrs.activation = parts & RELU ? MTF_ACT_RELU : MTF_ACT_NONE;
    for (int64_t s = 0; s < n; s++) {
        out_heights[s] = side(&c->shape.attrs, heights[s]);
        out_widths[s] = side(&c->shape.attrs, widths[s]);
    }
    op_grid(c, OP_TOKENS, heights, widths);
    op_grid(c, OP_KEYS, out_heights, out_widths);
    op_input(c, 0, OP_TOKENS, inputs);
    if (parts & RESIDUAL) {
        op_input(c, 1, OP_KEYS, outputs);
    }
    op_weight(c, 0, outputs, inputs * kernel * kernel);
    if (parts & BIAS) {
        op_weight(c, 1, outputs, 1);
    }
    for (int i = 2; parts & NORM && i < 6; i++) {
        op_weight(c, i, outputs, 1);
    }
    for (int64_t j = 0; parts & NORM && j < outputs; j++) {
        c->values[5][j] = (mtf_real)1.5 + c->values[5][j];
    }
    c->constant_weights = 1U << 4 | 1U << 5;
}

/* op_build, and what it does not know of: how many taps the weight has. */
static int build(op_case *c)
{
    const int built = op_build(c);
    for (int i = 1; i < MTF_MAX_WEIGHTS; i++) {
        c->w[i].layout = MTF_LAYOUT_OUT_IN;
    }
    c->w[0].taps = c->shape.attrs.kernel * c->shape.attrs.kernel;
    return built;
}

/* Column j of the window at (y, x) of image s, before the ReLU. */
static double literal(const op_case *c, int64_t s, int64_t y, int64_t x, int64_t j)
{
    const mtf_attrs *a = &c->shape.attrs;
    const int64_t inputs = c->shape.in[0].width;
    const int64_t outputs = c->shape.out[0].width;
    double z = c->values[1] != NULL ? (double)c->values[1][j] : 0;
    for (int64_t i = 0; i < inputs; i++) {
        for (int64_t down = 0; down < a->kernel; down++) {
            for (int64_t across = 0; across < a->kernel; across++) {
                const int64_t py = y * a->stride - a->padding + down;
                const int64_t px = x * a->stride - a->padding + across;
                if (py >= 0 && py < heights[s] && px >= 0 && px < widths[s]) {
                    const int64_t row = c->offsets[OP_TOKENS][s] + py * widths[s] + px;
                    z +=
                        (double)c->in[0][row * inputs + i] *
                        (double)c
                            ->values[0][((j * inputs + i) * a->kernel + down) * a->kernel + across];
                }
            }
        }
    }
    if (c->values[2] != NULL) {
        z = (z - (double)c->values[4][j]) / sqrt((double)c->values[5][j] + 1e-5) *
                (double)c->values[2][j] +
            (double)c->values[3][j];
    }
    const int64_t row = c->offsets[OP_KEYS][s] + y * c->widths[OP_KEYS][s] + x;
    return z + (c->in[1] != NULL ? (double)c->in[1][row * outputs + j] : 0);
}

/* A ReLU's corner must not lie within a difference: rows near 0 are moved by the residual or bias. */
static double nearest_to_zero(op_case *c)
{
    double nearest = 1;
    for (int64_t s = 0; s < c->span.n_sequences; s++) {
        for (int64_t r = 0; r < c->offsets[OP_KEYS][s + 1] - c->offsets[OP_KEYS][s]; r++) {
            for (int64_t j = 0; j < c->shape.out[0].width; j++) {
                const double z =
                    literal(c, s, r / c->widths[OP_KEYS][s], r % c->widths[OP_KEYS][s], j);
                nearest = fmin(nearest, fabs(z));
            }
        }
    }
    return nearest;
}

static void check_formula(op_case *c, double tolerance)
{
    op_forward(c, c->out, c->aux, 0, c->span.n_sequences);
    for (int64_t s = 0; s < c->span.n_sequences; s++) {
        const int64_t wide = c->widths[OP_KEYS][s];
        const int64_t first = c->offsets[OP_KEYS][s];
        for (int64_t r = 0; r < c->offsets[OP_KEYS][s + 1] - first; r++) {
            for (int64_t j = 0; j < c->shape.out[0].width; j++) {
                double want = literal(c, s, r / wide, r % wide, j);
                want = c->shape.attrs.activation == MTF_ACT_RELU && want < 0 ? 0 : want;
                if (!CHECK_CLOSE(c->out[0][(first + r) * c->shape.out[0].width + j], want,
                                 tolerance)) {
                    return;
                }
            }
        }
    }
}

/* inputs, outputs, kernel, stride, padding, parts */
static const int64_t cases[][6] = {
    {3, 5, 3, 1, 1, 0},
    {2, 4, 3, 2, 1, BIAS},
    {4, 3, 1, 1, 0, NORM},
    {3, 4, 1, 2, 0, NORM},
    {2, 3, 7, 2, 3, NORM},
    {3, 2, 2, 2, 1, RESIDUAL},
    {2, 5, 3, 1, 1, BIAS | NORM | RESIDUAL},
    {3, 4, 3, 3, 1, NORM},
    {32, 2, 3, 2, 1, NORM}, /* whole panels of one pixel: dW takes them as they lie */
};
enum { N_CASES = (int)(sizeof cases / sizeof *cases) };

MTF_TEST(forward_is_the_formula)
{
    for (int i = 0; i < 2 * N_CASES; i++) {
        const int64_t *k = cases[i / 2];
        op_case c;
        begin(&c, N_IMAGES, k[0], k[1], k[2], k[3], k[4], (unsigned)k[5] | (i % 2 ? RELU : 0U));
        if (build(&c)) {
            check_formula(&c, OP_CLOSE * 10);
        }
        op_end(&c);
    }
}

MTF_TEST(forward_is_the_formula_over_many_terms_and_columns)
{
    op_case c;
    begin(&c, 3, 37, 70, 3, 1, 1, BIAS | NORM | RESIDUAL | RELU);
    if (build(&c)) {
        check_formula(&c, OP_CLOSE * 100);
        op_check_spans(&c);
        op_check_parts(&c);
        op_check_threads(&c);
    }
    op_end(&c);
    begin(&c, 3, 64, 40, 3, 2, 1, NORM);
    if (build(&c)) {
        check_formula(&c, OP_CLOSE * 100);
        op_check_parts(&c);
        op_check_threads(&c);
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    for (int i = 0; i < N_CASES; i++) {
        const int64_t *k = cases[i];
        op_case c;
        begin(&c, 3, k[0], k[1], k[2], k[3], k[4], (unsigned)k[5]);
        if (build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_with_relu)
{
    int n_checked = 0;
    for (int i = 0; i < 40 && n_checked < 3; i++) {
        op_case c;
        begin(&c, 2, 2, 2, i % 2 ? 3 : 1, 1, i % 2 ? 1 : 0, NORM | RESIDUAL | RELU);
        if (build(&c) && nearest_to_zero(&c) > 0.01) {
            op_check_all(&c);
            n_checked++;
        }
        op_end(&c);
    }
    CHECK_MSG(n_checked == 3, "enough draws keep away from the corner");
}

/* Borders of SAME: of an even side the windows begin with it, of an odd one a row before. */
MTF_TEST(laws_with_borders_of_same)
{
    op_case c;
    begin(&c, N_IMAGES, 3, 4, 3, 2, 1, NORM);
    c.shape.attrs.same = 1;
    if (build(&c)) {
        op_check_all(&c);
        op_forward(&c, c.out, c.aux, 0, N_IMAGES);
        const int64_t row = c.offsets[OP_KEYS][2]; /* of 8 x 4, whose first window lies within */
        for (int64_t j = 0; j < 4; j++) {
            double z = 0;
            for (int64_t t = 0; t < 27; t++) {
                const int64_t at = c.offsets[OP_TOKENS][2] + t % 9 / 3 * 4 + t % 3;
                z += (double)c.in[0][at * 3 + t / 9] * (double)c.values[0][j * 27 + t];
            }
            z = (z - (double)c.values[4][j]) / sqrt((double)c.values[5][j] + 1e-5) *
                    (double)c.values[2][j] +
                (double)c.values[3][j];
            CHECK_CLOSE(c.out[0][row * 4 + j], z, OP_CLOSE * 10);
        }
    }
    op_end(&c);
    begin(&c, 2, 3, 4, 2, 2, 1, NORM);
    c.shape.attrs.same = 1;
    op_check_refused(&c, MTF_ERR_VALUE, "odd kernel");
    op_end(&c);
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin(&c, 2, 2, 3, 3, 1, 1, NORM | RESIDUAL | RELU);
    if (build(&c)) {
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 0);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).out, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1}).in, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1U << 2}).in, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1U << 3}).in, 0);
    }
    op_end(&c);
    begin(&c, 2, 2, 3, 3, 1, 1, NORM);
    if (build(&c)) {
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).out, 0);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin(&c, 2, 2, 3, 3, 1, 1, NORM | RESIDUAL);
    c.shape.weight_cols[0] = 17;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight");
    c.shape.weight_cols[0] = 18;
    c.shape.weight_rows[4] = 2;
    op_check_refused(&c, MTF_ERR_SHAPE, "mean");
    c.shape.weight_rows[4] = 3;
    c.shape.in[1].space = OP_TOKENS;
    op_check_refused(&c, MTF_ERR_SHAPE, "residual");
    c.shape.in[1].space = OP_KEYS;
    c.shape.attrs.activation = MTF_ACT_GELU;
    op_check_refused(&c, MTF_ERR_VALUE, "relu");
    c.shape.attrs.activation = MTF_ACT_NONE;
    c.shape.attrs.padding = 3;
    op_check_refused(&c, MTF_ERR_VALUE, "padding 3");
    c.shape.attrs.padding = 1;
    c.shape.attrs.stride = 0;
    op_check_refused(&c, MTF_ERR_VALUE, "stride 0");
    c.shape.attrs.stride = 1;
    c.shape.weight_rows[2] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "norm weight");
    op_end(&c);
}

/* The forms of a weight in bfloat16 and int8 have the panels that its rows in the order of windows
 * would have. */
MTF_TEST(forms_are_those_of_the_rows_in_the_order_of_windows)
{
    enum { O = 37, I = 35, TAPS = 9, K = I * TAPS };
    mtf_real *w = op_new(O * K);
    mtf_real *rows = op_new(O * K);
    mtf_error err;
    test_fill(w, O * K, -1.0, 1.0);
    for (int64_t o = 0; o < O; o++) {
        for (int64_t p = 0; p < K; p++) {
            rows[o * K + p] = w[o * K + p % I * TAPS + p / I];
        }
    }
    mtf_weight by_taps = {
        .master = w, .rows = O, .cols = K, .layout = MTF_LAYOUT_TAPS, .taps = TAPS};
    mtf_weight plain = {.master = rows, .rows = O, .cols = K};
    for (int p = 0; p < MTF_N_PRECISIONS; p++) {
        const mtf_precision precision = (mtf_precision)p;
        CHECK_INT(mtf_form_reserve(&by_taps, MTF_USE_Y, precision, &err), MTF_OK);
        CHECK_INT(mtf_form_reserve(&plain, MTF_USE_Y, precision, &err), MTF_OK);
        mtf_form_fill(&by_taps, MTF_USE_Y, precision, 0, 2);
        mtf_form_fill(&plain, MTF_USE_Y, precision, 0, 2);
        const mtf_form *a = &by_taps.forms[MTF_USE_Y][p];
        const mtf_form *b = &plain.forms[MTF_USE_Y][p];
        const size_t sides = 2 * MTF_PANEL;
        const size_t bytes = precision == MTF_PRECISION_F32    ? sides * K * sizeof(mtf_real)
                             : precision == MTF_PRECISION_BF16 ? sides * (K + 1) / 2 * 4
                                                               : sides * ((K + 3) / 4 * 4);
        CHECK_BITS(a->panels, b->panels, bytes);
        if (precision == MTF_PRECISION_INT8) {
            CHECK_BITS(a->scale, b->scale, sides * sizeof(float));
            CHECK_BITS(a->sums, b->sums, sides * sizeof(int32_t));
        }
    }
    mtf_forms_free(&by_taps);
    mtf_forms_free(&plain);
    free(w);
    free(rows);
}

/* So do those of one tap, and for dx those of each tap have the panels of its matrix (O, I). */
MTF_TEST(forms_are_those_of_each_tap_alone)
{
    enum { O = 37, I = 35, MOST_TAPS = 9 };
    static const int64_t many[] = {1, MOST_TAPS};
    mtf_real *w = op_new(O * I * MOST_TAPS);
    mtf_real *of_tap = op_new(O * I);
    mtf_error err;
    for (int n = 0; n < 4; n++) {
        const int64_t taps = many[n % 2];
        const mtf_precision precision = n / 2 ? MTF_PRECISION_BF16 : MTF_PRECISION_F32;
        test_fill(w, (size_t)(O * I * taps), -1.0, 1.0);
        mtf_weight by_taps = {
            .master = w, .rows = O, .cols = I * taps, .layout = MTF_LAYOUT_TAPS, .taps = taps};
        mtf_weight plain = {.master = of_tap, .rows = O, .cols = I};
        for (int use = taps == 1 ? MTF_USE_Y : MTF_USE_DX; use < MTF_N_USES; use++) {
            const mtf_use by = (mtf_use)use;
            const size_t a_tap = mtf_form_bytes(&plain, by, precision);
            CHECK_INT(mtf_form_reserve(&by_taps, by, precision, &err), MTF_OK);
            CHECK_INT(mtf_form_reserve(&plain, by, precision, &err), MTF_OK);
            mtf_form_fill(&by_taps, by, precision, 0, mtf_form_panels(&by_taps, by));
            for (int64_t tap = 0; tap < taps; tap++) {
                for (int64_t i = 0; i < O * I; i++) {
                    of_tap[i] = w[i * taps + tap];
                }
                mtf_form_fill(&plain, by, precision, 0, mtf_form_panels(&plain, by));
                const char *panels = by_taps.forms[by][precision].panels;
                CHECK_BITS(panels + (size_t)tap * a_tap, plain.forms[by][precision].panels, a_tap);
            }
        }
        mtf_forms_free(&by_taps);
        mtf_forms_free(&plain);
    }
    free(w);
    free(of_tap);
}
