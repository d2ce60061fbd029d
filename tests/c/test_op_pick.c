/* Rows picked from each sequence: none, some, all, one twice; positions of another row space.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {2, 6, 1, 4, 3};
/* Of the five sequences; OP_KEYS is the space of what is picked. */
static const int64_t picked[] = {0, 7, 1, 0, 2};

/* Positions within their sequences; the second repeats one. */
static void begin_pick(op_case *c, int64_t width)
{
    op_begin(c, &mtf_op_pick, lengths, 5);
    op_lengths(c, OP_KEYS, picked);
    op_input(c, 0, OP_TOKENS, width);
    op_input_ids(c, 1, OP_KEYS, 1);
    int64_t p = 0;
    for (int s = 0; s < 5; s++) {
        for (int64_t i = 0; i < picked[s]; i++) {
            c->ids[1][p++] = (int32_t)((i * 5 + 1) % lengths[s]);
        }
    }
}

MTF_TEST(forward_takes_the_rows_of_the_same_sequence)
{
    op_case c;
    begin_pick(&c, 3);
    if (op_build(&c)) {
        CHECK_INT(c.shape.out[0].space, OP_KEYS);
        op_forward(&c, c.out, c.aux, 0, 5);
        for (int s = 0; s < 5; s++) {
            for (int64_t p = c.offsets[OP_KEYS][s]; p < c.offsets[OP_KEYS][s + 1]; p++) {
                const int64_t row = c.offsets[OP_TOKENS][s] + c.ids[1][p];
                for (int j = 0; j < 3; j++) {
                    CHECK(c.out[0][p * 3 + j] == c.in[0][row * 3 + j]);
                }
            }
        }
    }
    op_end(&c);
}

MTF_TEST(laws_of_picking)
{
    for (int64_t width = 1; width <= 17; width += 8) {
        op_case c;
        begin_pick(&c, width);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(sequences_have_nothing_to_pick)
{
    op_case c;
    begin_pick(&c, 3);
    c.shape.in[0].space = MTF_SPACE_SEQUENCES;
    op_check_refused(&c, MTF_ERR_SHAPE, "one row a sequence");
    op_end(&c);
}
