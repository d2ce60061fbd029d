/* LoRA's product: its formula, its laws with and without dropout, and B = 0.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {63, 66, 1, 4};

enum { N = 11, K = 13 };

static void begin_low_rank(op_case *c, int64_t rank, double rate)
{
    op_begin(c, &mtf_op_low_rank, lengths, 4);
    c->shape.attrs.scale = (mtf_real)0.75;
    c->shape.attrs.rate = (mtf_real)rate;
    op_input(c, 0, OP_TOKENS, N);
    op_input(c, 1, OP_TOKENS, K);
    op_weight(c, 0, rank, K);
    op_weight(c, 1, N, rank);
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin_low_rank(&c, 3, 0);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
            double want = (double)c.in[0][i];
            for (int64_t r = 0; r < 3; r++) {
                double h = 0;
                for (int64_t k = 0; k < K; k++) {
                    h += (double)c.in[1][i / N * K + k] * (double)c.values[0][r * K + k];
                }
                want += 0.75 * h * (double)c.values[1][i % N * 3 + r];
            }
            CHECK_CLOSE(c.out[0][i], want, OP_CLOSE * 10);
        }
    }
    op_end(&c);
}

MTF_TEST(a_zero_factor_leaves_the_bits)
{
    op_case c;
    begin_low_rank(&c, 4, 0.25);
    if (op_build(&c)) {
        memset(c.values[1], 0, sizeof(mtf_real) * N * 4);
        op_forward(&c, c.out, c.aux, 0, 4);
        CHECK_BITS(c.out[0], c.in[0], (size_t)op_size(&c, &c.shape.out[0]) * sizeof(mtf_real));
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    static const int64_t ranks[] = {1, 4, 9};
    for (int i = 0; i < 6; i++) {
        op_case c;
        begin_low_rank(&c, ranks[i / 2], i % 2 ? 0.25 : 0);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin_low_rank(&c, 2, 0);
    if (op_build(&c)) {
        const mtf_save frozen = c.op->saves(&c.shape, (mtf_need){.dx = 3});
        CHECK_INT(frozen.in | frozen.out | frozen.aux, 0);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 1}).in, 2);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 2}).aux, 1);
        CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dw = 2}).in, 0);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_low_rank(&c, 2, 0);
    c.shape.weight_cols[0] = 12;
    op_check_refused(&c, MTF_ERR_SHAPE, "A");
    c.shape.weight_cols[0] = K;
    c.shape.weight_cols[1] = 3;
    op_check_refused(&c, MTF_ERR_SHAPE, "B");
    op_end(&c);
}
