/* Gated products of two inputs and of the halves of one: against the activation of a linear layer,
 * every activation, either half as the gate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 70, 2};

enum { PAIR, FIRST, LAST, N_FORMS };

static void begin_gated(op_case *c, int form, mtf_activation activation, int64_t width)
{
    op_begin(c, &mtf_op_gated, lengths, 4);
    c->shape.attrs.activation = activation;
    c->shape.attrs.gate_last = form == LAST;
    op_input(c, 0, OP_TOKENS, form == PAIR ? width : 2 * width);
    if (form == PAIR) {
        op_input(c, 1, OP_TOKENS, width);
    }
}

/* Element (row, j) of what is activated, or of its factor. */
static mtf_real side(const op_case *c, int form, int factor, int64_t row, int64_t j, int64_t width)
{
    if (form == PAIR) {
        return c->in[factor][row * width + j];
    }
    const int second = (form == LAST) != factor;
    return c->in[0][row * 2 * width + (second ? width : 0) + j];
}

MTF_TEST(forward_is_the_product)
{
    const int64_t width = 9;
    for (int form = 0; form < N_FORMS; form++) {
        for (int a = 0; a < MTF_N_ACTIVATIONS; a++) {
            op_case c;
            begin_gated(&c, form, (mtf_activation)a, width);
            if (op_build(&c)) {
                op_forward(&c, c.out, c.aux, 0, 4);
                for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
                    mtf_real y = side(&c, form, 0, i / width, i % width, width);
                    mtf_kernel->bias_act_fwd(&y, NULL, NULL, 1, 1, (mtf_activation)a);
                    y *= side(&c, form, 1, i / width, i % width, width);
                    CHECK_CLOSE(c.out[0][i], y, OP_CLOSE);
                }
            }
            op_end(&c);
        }
    }
}

MTF_TEST(laws)
{
    for (int form = 0; form < N_FORMS; form++) {
        for (int a = 0; a < MTF_N_ACTIVATIONS; a++) {
            op_case c;
            begin_gated(&c, form, (mtf_activation)a, a == MTF_ACT_GELU ? 8 : 5);
            /* differences must not straddle the corner at 0 */
            const int corner = a == MTF_ACT_RELU || a == MTF_ACT_RELU6;
            for (int64_t i = 0; corner && i < op_size(&c, &c.shape.in[0]); i++) {
                c.in[0][i] += c.in[0][i] > 0 ? (mtf_real)0.1 : -(mtf_real)0.1;
            }
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin_gated(&c, PAIR, MTF_ACT_SILU, 5);
    if (op_build(&c)) {
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 3);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 2}).in, 1);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_gated(&c, PAIR, MTF_ACT_SILU, 5);
    c.shape.in[1].width = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 5 in input 1 (b), found 4");
    c.shape.in[1] = (mtf_slot){.space = MTF_SPACE_SEQUENCES, .width = 5};
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    c.shape.in[1].width = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "two halves of one width in its only input, found 5");
    op_end(&c);
}
