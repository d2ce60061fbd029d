/* Layer norm with and without residual: against plain loops, with gradients at either output or
 * both, and with parts frozen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {2, 6, 1, 4};

static void begin_norm(op_case *c, const int64_t *rows, int64_t n, int64_t width, int residual,
                       int bias)
{
    op_begin(c, &mtf_op_layernorm, rows, n);
    c->shape.attrs.eps = (mtf_real)1e-12;
    op_input(c, 0, OP_TOKENS, width);
    if (residual) {
        op_input(c, 1, OP_TOKENS, width);
    }
    op_weight(c, 0, width, 1);
    if (bias) {
        op_weight(c, 1, width, 1);
    }
}

static void begin_layernorm(op_case *c, const int64_t *rows, int64_t n, int64_t width, int residual)
{
    begin_norm(c, rows, n, width, residual, 1);
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin_layernorm(&c, lengths, 4, 11, 1);
    c.shape.attrs.eps = (mtf_real)0.25; /* large, so that it shows */
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t row = 0; row < 13; row++) {
            double sum[11];
            double mean = 0;
            double variance = 0;
            for (int64_t j = 0; j < 11; j++) {
                sum[j] = (double)c.in[0][row * 11 + j] + (double)c.in[1][row * 11 + j];
                mean += sum[j] / 11;
            }
            for (int64_t j = 0; j < 11; j++) {
                variance += (sum[j] - mean) * (sum[j] - mean) / 11;
            }
            for (int64_t j = 0; j < 11; j++) {
                double y = (sum[j] - mean) / sqrt(variance + 0.25) * (double)c.values[0][j] +
                           (double)c.values[1][j];
                CHECK_CLOSE(c.out[0][row * 11 + j], y, OP_CLOSE * 10);
                CHECK_CLOSE(c.out[1][row * 11 + j], sum[j], OP_CLOSE);
            }
            CHECK_CLOSE(c.aux[0][row * 2], mean, OP_CLOSE);
            CHECK_CLOSE(c.aux[0][row * 2 + 1], 1 / sqrt(variance + 0.25), OP_CLOSE * 10);
        }
    }
    op_end(&c);
}

MTF_TEST(laws_with_and_without_residual)
{
    for (int residual = 0; residual < 2; residual++) {
        op_case c;
        begin_layernorm(&c, lengths, 4, 11, residual);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_without_a_bias)
{
    for (int residual = 0; residual < 2; residual++) {
        op_case c;
        begin_norm(&c, lengths, 4, 11, residual, 0);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

/* bit 0: no gradient at the normalised rows; bit 1: none at the sum. */
MTF_TEST(laws_with_a_gradient_at_one_output_only)
{
    for (uint32_t missing = 1; missing <= 2; missing++) {
        op_case c;
        begin_layernorm(&c, lengths, 4, 11, 1);
        c.no_dout = missing;
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_over_many_pieces)
{
    static const int64_t many[] = {63, 66, 1, 140};
    op_case c;
    begin_layernorm(&c, many, 4, 150, 1);
    if (op_build(&c)) {
        op_check_all(&c);
    }
    op_end(&c);
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin_layernorm(&c, lengths, 4, 11, 1);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 2});
        CHECK(save.in == 0 && save.out == 2 && save.aux == 1);
        save = c.op->saves(&c.shape, (mtf_need){.dw = 1});
        CHECK(save.in == 0 && save.out == 2 && save.aux == 1);
        save = c.op->saves(&c.shape, (mtf_need){.dw = 2});
        CHECK_INT(save.in | save.out | save.aux, 0);
    }
    op_end(&c);
    begin_layernorm(&c, lengths, 4, 11, 0);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
        CHECK(save.in == 1 && save.out == 0 && save.aux == 1);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_layernorm(&c, lengths, 4, 11, 1);
    c.shape.in[1].width = 10;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 11 in input 1 (residual), found 10");
    c.shape.in[1].width = 11;
    c.shape.in[1].space = MTF_SPACE_SEQUENCES;
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    c.shape.in[1].space = OP_TOKENS;
    c.shape.attrs.eps = 0;
    op_check_refused(&c, MTF_ERR_VALUE, "positive, finite eps, found 0");
    c.shape.weight_rows[1] = 12;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight 1 (bias) of shape (11, 1), found (12, 1)");
    op_end(&c);
}
