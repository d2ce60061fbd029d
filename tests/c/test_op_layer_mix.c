/* A learned mix of layers against its formula, alone and as a part of a longer one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

#include <math.h>

static const int64_t lengths[] = {3, 1, 70, 2};

enum { REST = MTF_MAX_IN - 1 };

/* n layers from number `first` on of `of`; the rest too where asked for. */
static void begin_mix(op_case *c, int n, int first, int64_t of, int has_rest, int64_t width)
{
    op_begin(c, &mtf_op_layer_mix, lengths, 4);
    for (int i = 0; i < n; i++) {
        op_input(c, i, OP_TOKENS, width);
    }
    if (has_rest) {
        op_input(c, REST, OP_TOKENS, width);
    }
    op_weight(c, 0, of, 1);
    op_weight(c, 1, 1, 1);
    c->shape.attrs.mix_first = first;
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin_mix(&c, 3, 2, 6, 1, 5);
    if (op_build(&c)) {
        double sum = 0;
        for (int j = 0; j < 6; j++) {
            sum += exp((double)c.values[0][j]);
        }
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t at = 0; at < op_size(&c, &c.shape.out[0]); at++) {
            double y = (double)c.in[REST][at];
            for (int i = 0; i < 3; i++) {
                y += (double)c.values[1][0] * exp((double)c.values[0][2 + i]) / sum *
                     (double)c.in[i][at];
            }
            CHECK_CLOSE(c.out[0][at], y, OP_CLOSE);
        }
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    const int forms[][4] = {{1, 0, 1, 0}, {3, 0, 3, 0}, {3, 2, 6, 1}, {REST, 0, REST + 2, 0}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        op_case c;
        begin_mix(&c, forms[i][0], forms[i][1], forms[i][2], forms[i][3], 5);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(saves_layers_only_where_the_mix_trains)
{
    op_case c;
    begin_mix(&c, 3, 0, 3, 1, 5);
    if (op_build(&c)) {
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 7}).in, 0);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 7, .dw = 1}).in, 7);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_mix(&c, 3, 0, 3, 1, 5);
    c.shape.in[1].width = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 5 in input 1 (layer), found 4");
    c.shape.in[1].width = 5;
    c.shape.in[REST] = (mtf_slot){.space = MTF_SPACE_SEQUENCES, .width = 5};
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    c.shape.in[REST].space = OP_TOKENS;
    c.shape.attrs.mix_first = 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects 3 layers from number 1 on among the 3");
    op_end(&c);
}
