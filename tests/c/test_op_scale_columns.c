/* Columns times factors, and activations by themselves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {63, 66, 1, 4};

static void begin_scale(op_case *c, int64_t width)
{
    op_begin(c, &mtf_op_scale_columns, lengths, 4);
    op_input(c, 0, OP_TOKENS, width);
    op_weight(c, 0, width, 1);
}

MTF_TEST(columns_are_scaled)
{
    op_case c;
    begin_scale(&c, 70);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
            const mtf_real product = c.in[0][i] * c.values[0][i % 70];
            CHECK(c.out[0][i] == product);
        }
        op_check_all(&c);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 0);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1}).in, 1);
    }
    op_end(&c);
}

MTF_TEST(factors_of_another_width_are_refused)
{
    op_case c;
    begin_scale(&c, 5);
    c.shape.weight_rows[0] = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "scale_columns");
    op_end(&c);
}

MTF_TEST(an_activation_alone_has_the_bits_of_a_layers)
{
    for (int a = 0; a < MTF_N_ACTIVATIONS; a++) {
        op_case c;
        op_begin(&c, &mtf_op_activation, lengths, 4);
        c.shape.attrs.activation = (mtf_activation)a;
        op_input(&c, 0, OP_TOKENS, 11);
        /* differences must not straddle the corners, at 0 and at 6 */
        const int has_corner = a == MTF_ACT_RELU || a == MTF_ACT_RELU6;
        for (int64_t i = 0; has_corner && i < op_size(&c, &c.shape.in[0]); i++) {
            mtf_real *x = &c.in[0][i];
            *x += *x > 0 ? (mtf_real)0.1 : -(mtf_real)0.1;
            if (a == MTF_ACT_RELU6) {
                *x *= 6; /* so that some are above 6 */
                *x += fabs((double)*x - 6) < 0.1 ? (mtf_real)0.25 : 0;
            }
        }
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 4);
            for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
                mtf_real y = c.in[0][i];
                mtf_kernel->bias_act_fwd(&y, NULL, NULL, 1, 1, (mtf_activation)a);
                CHECK_CLOSE(c.out[0][i], y, OP_CLOSE);
            }
            op_check_all(&c);
        }
        op_end(&c);
    }
}
