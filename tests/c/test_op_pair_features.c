/* Features of pairs of sequences: none, some, a chain; values, gradients, equal vectors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {2, 6, 1, 4, 3, 2, 1};
/* OP_KEYS is the space of pairs: sequences 0 and 1, then 3, 4 and 4, 5. */
static const int64_t pairs[] = {1, 0, 0, 1, 1, 0, 0};

static void begin_pairs(op_case *c, int64_t width)
{
    op_begin(c, &mtf_op_pair_features, lengths, 7);
    op_lengths(c, OP_KEYS, pairs);
    c->shape.attrs.pair_space = OP_KEYS;
    op_input(c, 0, MTF_SPACE_SEQUENCES, width);
}

/* No two sequences closer than 0.01 in any element: differences across the kink of |u - v| say nothing.
 * Multiples of 0.1 plus 0.01 a sequence never meet. */
static void keep_apart(op_case *c, int64_t width)
{
    for (int64_t i = 0; i < 7; i++) {
        for (int64_t j = 0; j < width; j++) {
            mtf_real *value = c->in[0] + i * width + j;
            *value = (mtf_real)(round((double)*value * 10) / 10 + 0.01 * (double)i);
        }
    }
}

MTF_TEST(forward_puts_two_sequences_side_by_side)
{
    static const int first[] = {0, 3, 4};
    op_case c;
    begin_pairs(&c, 3);
    if (op_build(&c)) {
        CHECK_INT(c.shape.out[0].space, OP_KEYS);
        CHECK_INT(c.shape.out[0].width, 9);
        op_forward(&c, c.out, c.aux, 0, 7);
        for (int p = 0; p < 3; p++) {
            const mtf_real *u = c.in[0] + first[p] * 3, *y = c.out[0] + p * 9;
            for (int j = 0; j < 3; j++) {
                CHECK(y[j] == u[j] && y[3 + j] == u[3 + j]);
                CHECK(y[6 + j] == (mtf_real)fabs((double)(u[j] - u[3 + j])));
            }
        }
    }
    op_end(&c);
}

MTF_TEST(laws_of_pairs)
{
    for (int64_t width = 1; width <= 17; width += 8) {
        op_case c;
        begin_pairs(&c, width);
        keep_apart(&c, width);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(equal_vectors_have_no_side)
{
    op_case c;
    begin_pairs(&c, 2);
    memcpy(c.in[0] + 2, c.in[0], 2 * sizeof(mtf_real));
    if (op_build(&c)) {
        op_grads grads = op_backward(&c, op_need_all(&c), 0);
        for (int j = 0; j < 4; j++) {
            CHECK(grads.din[0][j] == c.dout[0][j]);
        }
        for (int j = 4; j < 6; j++) { /* of no pair */
            CHECK(grads.din[0][j] == 0);
        }
        op_free_grads(&grads);
    }
    op_end(&c);
}

MTF_TEST(rows_of_tokens_are_no_pairs)
{
    op_case c;
    begin_pairs(&c, 3);
    c.shape.in[0].space = OP_TOKENS;
    op_check_refused(&c, MTF_ERR_SHAPE, "one row a sequence");
    op_end(&c);
}
