/* Addition of two tensors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {63, 66, 1, 4};

static void begin_add(op_case *c)
{
    op_begin(c, &mtf_op_add, lengths, 4);
    op_input(c, 0, OP_TOKENS, 11);
    op_input(c, 1, OP_TOKENS, 11);
}

MTF_TEST(forward_is_the_sum)
{
    op_case c;
    begin_add(&c);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
            const mtf_real sum = c.in[0][i] + c.in[1][i];
            CHECK(c.out[0][i] == sum);
        }
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    op_case c;
    begin_add(&c);
    if (op_build(&c)) {
        op_check_all(&c);
        const mtf_save save = c.op->saves(&c.shape, op_need_all(&c));
        CHECK_INT(save.in | save.out | save.aux, 0);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_add(&c);
    c.shape.in[1].width = 10;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 11 in input 1 (b), found 10");
    c.shape.in[1] = (mtf_slot){.space = MTF_SPACE_SEQUENCES, .width = 11};
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    c.shape.in[1].width = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects input 1 (b), found none");
    op_end(&c);
}
