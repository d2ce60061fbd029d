/* Scores of labels that follow each other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

enum { K = 9 };

static const int64_t lengths[] = {63, 66, 1, 4};

static void begin(op_case *c)
{
    op_begin(c, &mtf_op_transitions, lengths, 4);
    op_input(c, 0, OP_TOKENS, K);
    op_weight(c, 0, K, K);
    op_weight(c, 1, K, 1);
    op_weight(c, 2, K, 1);
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin(&c);
    if (op_build(&c)) {
        CHECK_INT(c.shape.out[0].width, K * K + 2 * K);
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t r = 0; r < op_rows(&c, &c.shape.out[0]); r++) {
            const mtf_real *x = c.in[0] + r * K, *y = c.out[0] + r * (K * K + 2 * K);
            for (int j = 0; j < K; j++) {
                for (int i = 0; i < K; i++) {
                    CHECK(y[i * K + j] == c.values[0][i * K + j] + x[j]);
                }
                CHECK(y[K * K + j] == c.values[1][j] + x[j]);
                CHECK(y[K * K + K + j] == c.values[2][j]);
            }
        }
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    op_case c;
    begin(&c);
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
    begin(&c);
    c.shape.weight_cols[0] = K - 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "transitions");
    c.shape.weight_cols[0] = K;
    c.shape.weight_rows[1] = K + 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "start");
    c.shape.weight_rows[1] = K;
    c.shape.weight_rows[2] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "end");
    op_end(&c);
}
