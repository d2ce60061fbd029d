/* Convolutions by column: the formula, taken literally in double; the laws with both borders, every
 * kernel, stride and activation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

enum { N_IMAGES = 4 };

static const int64_t heights[] = {5, 1, 8, 7};
static const int64_t widths[] = {7, 3, 4, 6};

static void begin(op_case *c, int64_t n, int64_t width, int64_t kernel, int64_t stride, int same,
                  mtf_activation activation)
{
    int64_t out_heights[N_IMAGES] = {0};
    int64_t out_widths[N_IMAGES] = {0};
    const int64_t padding = kernel / 2;
    op_begin(c, &mtf_op_depthwise, heights, n);
    c->shape.attrs.kernel = kernel;
    c->shape.attrs.stride = stride;
    c->shape.attrs.padding = padding;
    c->shape.attrs.same = same;
    c->shape.attrs.grid_space = OP_KEYS;
    c->shape.attrs.eps = (mtf_real)1e-5;
    c->shape.attrs.activation = activation;
    for (int64_t s = 0; s < n; s++) {
        out_heights[s] = (heights[s] + 2 * padding - kernel) / stride + 1;
        out_widths[s] = (widths[s] + 2 * padding - kernel) / stride + 1;
    }
    op_grid(c, OP_TOKENS, heights, widths);
    op_grid(c, OP_KEYS, out_heights, out_widths);
    op_input(c, 0, OP_TOKENS, width);
    op_weight(c, 0, width, kernel * kernel);
    for (int i = 2; i < 6; i++) {
        op_weight(c, i, width, 1);
    }
    for (int64_t j = 0; j < width; j++) {
        c->values[5][j] = (mtf_real)1.5 + c->values[5][j];
    }
    c->constant_weights = 1U << 4 | 1U << 5;
}

/* Rows before the first window, as TensorFlow counts them. */
static int64_t before(const op_case *c, int64_t side)
{
    const mtf_attrs *a = &c->shape.attrs;
    const int64_t over = side % a->stride == 0 ? a->stride : side % a->stride;
    return !a->same ? a->padding : a->kernel > over ? (a->kernel - over) / 2 : 0;
}

/* Column j of the window at (y, x) of image s, before the activation. */
static double literal(const op_case *c, int64_t s, int64_t y, int64_t x, int64_t j)
{
    const mtf_attrs *a = &c->shape.attrs;
    const int64_t taps = a->kernel * a->kernel, width = c->shape.in[0].width;
    double z = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t py = y * a->stride - before(c, heights[s]) + t / a->kernel;
        const int64_t px = x * a->stride - before(c, widths[s]) + t % a->kernel;
        if (py >= 0 && py < heights[s] && px >= 0 && px < widths[s]) {
            const int64_t row = c->offsets[OP_TOKENS][s] + py * widths[s] + px;
            z += (double)c->in[0][row * width + j] * (double)c->values[0][j * taps + t];
        }
    }
    if (c->values[2] == NULL) {
        return z;
    }
    return (z - (double)c->values[4][j]) / sqrt((double)c->values[5][j] + 1e-5) *
               (double)c->values[2][j] +
           (double)c->values[3][j];
}

/* Whether the output is that of the formula; the least distance to a corner of the activation. */
static double check_formula(const op_case *c)
{
    double nearest = 1;
    for (int64_t s = 0; s < c->span.n_sequences; s++) {
        const int64_t wide = c->widths[OP_KEYS][s], first = c->offsets[OP_KEYS][s];
        for (int64_t r = 0; r < c->offsets[OP_KEYS][s + 1] - first; r++) {
            for (int64_t j = 0; j < c->shape.out[0].width; j++) {
                const double z = literal(c, s, r / wide, r % wide, j);
                const int clips = c->shape.attrs.activation != MTF_ACT_NONE;
                nearest = fmin(nearest, fmin(fabs(z), fabs(z - 6)));
                CHECK_CLOSE(c->out[0][(first + r) * c->shape.out[0].width + j],
                            clips ? fmin(fmax(z, 0), 6) : z, OP_CLOSE * 10);
            }
        }
    }
    return nearest;
}

MTF_TEST(forward_is_the_formula)
{
    for (int i = 0; i < 24; i++) {
        op_case c;
        const int64_t kernel = i % 3 == 0 ? 3 : i % 3 == 1 ? 5 : 1;
        begin(&c, N_IMAGES, 1 + 3 * (i % 5), kernel, 1 + i % 2, i / 2 % 2,
              i / 4 % 2 ? MTF_ACT_RELU6 : MTF_ACT_NONE);
        for (int64_t j = 0; j < c.shape.in[0].width; j++) {
            c.values[2][j] *= 20; /* so that both corners are passed */
        }
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, N_IMAGES);
            (void)check_formula(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws)
{
    for (int i = 0; i < 6; i++) {
        op_case c;
        begin(&c, 3, i % 2 ? 5 : 67, 3, 1 + i / 2 % 2, i / 4, MTF_ACT_NONE);
        if (i % 2 == 0) { /* many columns: parts, spans and threads alone */
            if (op_build(&c)) {
                op_check_spans(&c);
                op_check_parts(&c);
                op_check_threads(&c);
            }
        } else if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_with_relu6)
{
    int n_checked = 0;
    for (int i = 0; i < 4000 && n_checked < 4; i++) {
        op_case c;
        begin(&c, 2, 2, 3, 1 + i % 2, i / 2 % 2, MTF_ACT_RELU6);
        c.values[2][0] *= 8;
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 2);
            if (check_formula(&c) > 0.01) {
                op_check_all(&c);
                n_checked++;
            }
        }
        op_end(&c);
    }
    CHECK_MSG(n_checked == 4, "enough draws keep away from the corners");
}

/* What a norm by the batch reads. */
MTF_TEST(without_a_norm)
{
    for (int i = 0; i < 8; i++) {
        op_case c;
        begin(&c, 3, i % 2 ? 5 : 67, 3, 1 + i / 2 % 2, i / 4, MTF_ACT_NONE);
        for (int weight = 2; weight < 6; weight++) {
            free(c.values[weight]);
            c.values[weight] = NULL;
            c.shape.weight_rows[weight] = c.shape.weight_cols[weight] = 0;
        }
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 3);
            (void)check_formula(&c);
            if (i % 2) {
                op_check_all(&c);
            }
        }
        op_end(&c);
    }
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin(&c, 2, 3, 3, 1, 0, MTF_ACT_RELU6);
    if (op_build(&c)) {
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 0);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).out, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1}).in, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1U << 3}).in, 0);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin(&c, 2, 3, 3, 1, 0, MTF_ACT_NONE);
    c.shape.weight_cols[0] = 8;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight");
    c.shape.weight_cols[0] = 9;
    c.shape.weight_rows[4] = 2;
    op_check_refused(&c, MTF_ERR_SHAPE, "mean");
    c.shape.weight_rows[4] = 3;
    c.shape.attrs.activation = MTF_ACT_GELU;
    op_check_refused(&c, MTF_ERR_VALUE, "relu6");
    c.shape.attrs.activation = MTF_ACT_NONE;
    c.shape.attrs.kernel = 9;
    op_check_refused(&c, MTF_ERR_VALUE, "kernel 9");
    op_end(&c);
}
