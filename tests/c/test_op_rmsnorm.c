/* Division by the root mean square, whole rows and groups of them: against plain loops, with a
 * residual or none, with gradients at either output, and with parts frozen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {2, 6, 1, 4};

/* n_groups groups of `group` columns. */
static void begin_rmsnorm(op_case *c, int64_t n_groups, int64_t group, int residual)
{
    op_begin(c, &mtf_op_rmsnorm, lengths, 4);
    c->shape.attrs.eps = (mtf_real)1e-6;
    c->shape.attrs.weight_offset = 1;
    op_input(c, 0, OP_TOKENS, n_groups * group);
    if (residual) {
        op_input(c, 1, OP_TOKENS, n_groups * group);
    }
    op_weight(c, 0, group, 1);
}

MTF_TEST(forward_is_the_formula)
{
    for (int64_t group = 5; group <= 15; group += 10) { /* three groups, one */
        op_case c;
        begin_rmsnorm(&c, 15 / group, group, 1);
        c.shape.attrs.eps = (mtf_real)0.25; /* large, so that it shows */
        c.shape.attrs.weight_offset = (mtf_real)0.5;
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 4);
            for (int64_t at = 0; at < 13 * 15; at += group) {
                double mean = 0;
                for (int64_t j = at; j < at + group; j++) {
                    mean += pow((double)c.in[0][j] + (double)c.in[1][j], 2) / (double)group;
                }
                for (int64_t j = at; j < at + group; j++) {
                    const double sum = (double)c.in[0][j] + (double)c.in[1][j];
                    const double y = sum / sqrt(mean + 0.25) * (0.5 + (double)c.values[0][j - at]);
                    CHECK_CLOSE(c.out[0][j], y, OP_CLOSE * 10);
                    CHECK_CLOSE(c.out[1][j], sum, OP_CLOSE);
                }
                CHECK_CLOSE(c.aux[0][at / group], 1 / sqrt(mean + 0.25), OP_CLOSE * 10);
            }
        }
        op_end(&c);
    }
}

MTF_TEST(laws_of_rows_and_of_groups)
{
    static const int64_t groups[][2] = {{1, 11}, {3, 5}, {2, 24}};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        for (int residual = 0; residual < 2; residual++) {
            op_case c;
            begin_rmsnorm(&c, groups[g][0], groups[g][1], residual);
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

/* bit 0: no gradient at the normalised rows; bit 1: none at the sum. */
MTF_TEST(laws_with_a_gradient_at_one_output_only)
{
    for (uint32_t missing = 1; missing <= 2; missing++) {
        op_case c;
        begin_rmsnorm(&c, 2, 7, 1);
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
    op_begin(&c, &mtf_op_rmsnorm, many, 4);
    c.shape.attrs.eps = (mtf_real)1e-6;
    op_input(&c, 0, OP_TOKENS, 3 * 20);
    op_input(&c, 1, OP_TOKENS, 3 * 20);
    op_weight(&c, 0, 20, 1);
    if (op_build(&c)) {
        op_check_all(&c);
        /* each row's gradient is that of the row alone */
        op_grads whole = op_backward(&c, (mtf_need){.dx = 1}, 0);
        for (int64_t row = 0; row < 270; row += 67) {
            const mtf_real *s = c.out[1] + row * 60;
            mtf_real alone[60];
            mtf_kernel->rmsnorm_bwd_x(alone, c.dout[0] + row * 60, c.dout[1] + row * 60, s,
                                      c.aux[0] + row * 3, c.values[0], 1, 60, 20, 0);
            CHECK_BITS(alone, whole.din[0] + row * 60, sizeof alone);
        }
        op_free_grads(&whole);
    }
    op_end(&c);
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin_rmsnorm(&c, 2, 7, 1);
    if (op_build(&c)) {
        const mtf_save save = c.op->saves(&c.shape, (mtf_need){.dw = 1});
        CHECK(save.in == 0 && save.out == 2 && save.aux == 1);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_rmsnorm(&c, 2, 7, 1);
    c.shape.in[1].width = 10;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 14 in input 1 (residual), found 10");
    c.shape.in[1].width = 14;
    c.shape.in[1].space = MTF_SPACE_SEQUENCES;
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    c.shape.in[1].space = OP_TOKENS;
    c.shape.attrs.eps = 0;
    op_check_refused(&c, MTF_ERR_VALUE, "positive, finite eps, found 0");
    c.shape.attrs.eps = 1;
    c.shape.attrs.weight_offset = (mtf_real)NAN;
    op_check_refused(&c, MTF_ERR_VALUE, "a finite offset of its weight");
    c.shape.weight_rows[0] = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "whole groups of its 4 weights, found 14");
    c.shape.weight_rows[0] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects weight 0 (weight), found none");
    op_end(&c);
}
