/* The rows of a table for every sequence.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

enum { N = 4, ROWS = 7, WIDTH = 70 };

static const int64_t lengths[N] = {ROWS, ROWS, ROWS, ROWS};

static void begin(op_case *c, int with_table)
{
    op_begin(c, &mtf_op_repeat_rows, lengths, N);
    c->shape.attrs.row_space = OP_TOKENS;
    c->shape.attrs.row_width = WIDTH;
    if (with_table) {
        op_weight(c, 0, ROWS, WIDTH);
    }
}

MTF_TEST(every_sequence_has_the_rows_of_the_table)
{
    for (int with_table = 0; with_table < 2; with_table++) {
        op_case c;
        begin(&c, with_table);
        if (op_build(&c)) {
            CHECK_INT(c.shape.out[0].space, OP_TOKENS);
            op_forward(&c, c.out, c.aux, 0, N);
            for (int64_t i = 0; i < N * ROWS * WIDTH; i++) {
                CHECK(c.out[0][i] == (with_table ? c.values[0][i % (ROWS * WIDTH)] : 0));
            }
        }
        op_end(&c);
    }
}

MTF_TEST(the_gradient_is_a_sum_over_sequences)
{
    op_case c;
    begin(&c, 1);
    if (op_build(&c)) {
        op_grads grads = op_backward(&c, op_need_all(&c), 0);
        for (int64_t i = 0; i < ROWS * WIDTH; i++) {
            mtf_real sum = 0;
            for (int64_t s = 0; s < N; s++) {
                sum += c.dout[0][s * ROWS * WIDTH + i];
            }
            CHECK(grads.dw[0][i] == sum);
        }
        op_free_grads(&grads);
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    op_case c;
    begin(&c, 1);
    if (op_build(&c)) {
        op_check_all(&c);
    }
    op_end(&c);
}

MTF_TEST(what_does_not_fit_is_refused)
{
    op_case c;
    begin(&c, 1);
    c.shape.weight_cols[0] = WIDTH - 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "table");
    c.shape.weight_cols[0] = WIDTH;
    c.shape.attrs.row_space = MTF_SPACE_SEQUENCES;
    op_check_refused(&c, MTF_ERR_VALUE, "a row space with as many rows for every sequence");
    op_end(&c);
}
