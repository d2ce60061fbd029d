/* Largest values of windows: the formula, the laws, equal values, NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

#include "base/bf16.h"

static const int64_t heights[] = {5, 1, 8};
static const int64_t widths[] = {7, 3, 4};

static void begin(op_case *c, int64_t n, int64_t width, int64_t kernel, int64_t stride,
                  int64_t padding)
{
    int64_t out_heights[3] = {0};
    int64_t out_widths[3] = {0};
    op_begin(c, &mtf_op_grid_max_pool, heights, n);
    c->shape.attrs.kernel = kernel;
    c->shape.attrs.stride = stride;
    c->shape.attrs.padding = padding;
    c->shape.attrs.grid_space = OP_KEYS;
    for (int64_t s = 0; s < n; s++) {
        out_heights[s] = (heights[s] + 2 * padding - kernel) / stride + 1;
        out_widths[s] = (widths[s] + 2 * padding - kernel) / stride + 1;
    }
    op_grid(c, OP_TOKENS, heights, widths);
    op_grid(c, OP_KEYS, out_heights, out_widths);
    op_input(c, 0, OP_TOKENS, width);
    /* far from each other, so that no difference changes who wins; negative, so that a border of
     * zeros would */
    for (int64_t i = 0; i < op_size(c, &c->shape.in[0]); i++) {
        c->in[0][i] = (mtf_real)(-1 - 0.01 * (double)((i * 7919) % 10007));
    }
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin(&c, 3, 5, 3, 2, 1);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 3);
        for (int64_t s = 0; s < 3; s++) {
            for (int64_t r = 0; r < c.offsets[OP_KEYS][s + 1] - c.offsets[OP_KEYS][s]; r++) {
                const int64_t top = r / c.widths[OP_KEYS][s] * 2 - 1;
                const int64_t left = r % c.widths[OP_KEYS][s] * 2 - 1;
                for (int64_t j = 0; j < 5; j++) {
                    double want = -INFINITY;
                    for (int64_t y = top; y < top + 3; y++) {
                        for (int64_t x = left; x < left + 3; x++) {
                            if (y >= 0 && y < heights[s] && x >= 0 && x < widths[s]) {
                                const int64_t row = c.offsets[OP_TOKENS][s] + y * widths[s] + x;
                                want = fmax(want, (double)c.in[0][row * 5 + j]);
                            }
                        }
                    }
                    CHECK((double)c.out[0][(c.offsets[OP_KEYS][s] + r) * 5 + j] == want);
                }
            }
        }
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    static const int64_t sides[][3] = {{3, 2, 1}, {2, 2, 1}, {1, 1, 0}, {3, 1, 1}};
    for (int i = 0; i < 4; i++) {
        op_case c;
        begin(&c, 3, 4, sides[i][0], sides[i][1], sides[i][2]);
        if (op_build(&c)) {
            op_check_all(&c);
            CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).aux, 1);
            CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 0);
        }
        op_end(&c);
    }
}

MTF_TEST(the_first_of_equals_wins_and_nan_over_numbers)
{
    op_case c;
    begin(&c, 1, 1, 3, 2, 1);
    if (op_build(&c)) {
        for (int64_t i = 0; i < 35; i++) {
            c.in[0][i] = 2;
        }
        op_forward(&c, c.out, c.aux, 0, 1);
        CHECK(c.aux[0][0] == 4); /* of the window at the corner, its middle */
        c.in[0][8] = (mtf_real)NAN;
        op_forward(&c, c.out, c.aux, 0, 1);
        CHECK(isnan(c.out[0][0]) && c.aux[0][0] == 8);
    }
    op_end(&c);
}

/* Values in bf16 where they lie: of either sign, infinite, NaN of both signs. */
MTF_TEST(halves_give_what_floats_do)
{
    static const uint32_t odd[] = {0x7FC0, 0xFFC0, 0x7F80, 0xFF80, 0x8000, 0x0000, 0x7F81, 0xFFFF};
    op_case c;
    begin(&c, 3, 5, 3, 2, 1);
    if (op_build(&c)) {
        const int64_t n = op_size(&c, &c.shape.in[0]);
        const int64_t n_out = op_size(&c, &c.shape.out[0]);
        uint16_t *x = malloc((size_t)n * sizeof *x);
        uint16_t *y = malloc((size_t)n_out * sizeof *y);
        for (int64_t i = 0; i < n; i++) {
            x[i] = i % 13 == 0 ? (uint16_t)odd[i / 13 % 8]
                               : mtf_bf16_round((float)(i * 7919 % 1009) / 100.0F - 7.0F);
            c.in[0][i] = mtf_bf16_value(x[i]);
        }
        mtf_real *none[MTF_MAX_AUX] = {NULL};
        op_forward(&c, c.out, none, 0, 3);
        const mtf_op_call call = {
            .shape = &c.shape, .span = &c.span, .in_half = {x}, .out_half = {y}};
        c.op->forward(&call);
        for (int64_t i = 0; i < n_out; i++) {
            const mtf_real got = mtf_bf16_value(y[i]);
            CHECK(isnan(c.out[0][i]) ? isnan(got) : got == c.out[0][i]);
        }
        CHECK(c.op->halves(&c.shape, NULL).alike);
        free(x);
        free(y);
    }
    op_end(&c);
}

MTF_TEST(wide_borders_and_windows_are_refused)
{
    op_case c;
    begin(&c, 1, 1, 3, 2, 1);
    c.shape.attrs.padding = 2;
    op_check_refused(&c, MTF_ERR_VALUE, "padding 2");
    c.shape.attrs.padding = 1;
    c.shape.attrs.kernel = 9;
    op_check_refused(&c, MTF_ERR_VALUE, "kernel of 9");
    op_end(&c);
}
