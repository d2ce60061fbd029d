/* Embedding: against plain loops, repeated ids, tables that are absent or frozen, a left-out type
 * input, and the fixed order of gradient rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {4, 1, 9, 3};

enum { WORDS = 6, PLACES = 12, KINDS = 2, WIDTH = 7, OFFSET = 2 };

static void begin_embedding(op_case *c, int position, int type, int types_given)
{
    op_begin(c, &mtf_op_embedding, lengths, 4);
    op_input_ids(c, 0, OP_TOKENS, WORDS);
    op_weight(c, 0, WORDS, WIDTH);
    if (position) {
        op_weight(c, 1, PLACES, WIDTH);
        c->shape.attrs.position_offset = OFFSET;
    }
    if (type) {
        op_weight(c, 2, KINDS, WIDTH);
    }
    if (types_given) {
        op_input_ids(c, 1, OP_TOKENS, KINDS);
    }
}

MTF_TEST(forward_is_the_sum_of_rows)
{
    op_case c;
    begin_embedding(&c, 1, 1, 1);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        int64_t row = 0;
        for (int64_t s = 0; s < 4; s++) {
            for (int64_t place = 0; place < lengths[s]; place++, row++) {
                for (int64_t j = 0; j < WIDTH; j++) {
                    double y = (double)c.values[0][c.ids[0][row] * WIDTH + j] +
                               (double)c.values[2][c.ids[1][row] * WIDTH + j] +
                               (double)c.values[1][(place + OFFSET) * WIDTH + j];
                    CHECK_CLOSE(c.out[0][row * WIDTH + j], y, OP_CLOSE);
                }
            }
        }
    }
    op_end(&c);
}

/* Positions that do not count a padding id: ids 0 5 1 6 2 with padding 1 stand at 2 3 1 4 5. */
static void begin_skipping(op_case *c, int type)
{
    static const int32_t text[] = {0, 5, 1, 4, 2, /**/ 1, /**/ 1, 1, 3,
                                   0, 1, 5, 1, 2, 4,      /**/ 0, 2};
    static const int64_t texts[] = {5, 1, 9, 2};
    op_begin(c, &mtf_op_embedding, texts, 4);
    op_input_ids(c, 0, OP_TOKENS, WORDS);
    memcpy(c->ids[0], text, sizeof text);
    op_weight(c, 0, WORDS, WIDTH);
    op_weight(c, 1, PLACES, WIDTH);
    if (type) {
        op_weight(c, 2, KINDS, WIDTH);
    }
    c->shape.attrs.position_offset = 2;
    c->shape.attrs.skips_pad = 1;
}

MTF_TEST(padding_within_a_text_is_not_counted)
{
    static const int64_t places[] = {2,      3, 1, 4, 5, /**/ 1, /**/ 1, 1, 2, 3, 1, 4, 1, 5, 6,
                                     /**/ 2, 3};
    op_case c;
    begin_skipping(&c, 0);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 4);
        op_grads grads = op_backward(&c, op_need_all(&c), 0);
        mtf_real want[PLACES * WIDTH] = {0};
        for (int64_t row = 0; row < 17; row++) {
            for (int64_t j = 0; j < WIDTH; j++) {
                double y = (double)c.values[0][c.ids[0][row] * WIDTH + j] +
                           (double)c.values[1][places[row] * WIDTH + j];
                CHECK_CLOSE(c.out[0][row * WIDTH + j], y, OP_CLOSE);
                want[places[row] * WIDTH + j] += c.dout[0][row * WIDTH + j];
            }
        }
        CHECK_BITS(grads.dw[1], want, sizeof want);
        op_free_grads(&grads);
    }
    op_end(&c);
}

MTF_TEST(laws_where_padding_is_not_counted)
{
    for (int type = 0; type < 2; type++) {
        op_case c;
        begin_skipping(&c, type);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_with_each_set_of_tables)
{
    for (int position = 0; position < 2; position++) {
        for (int type = 0; type < 3; type++) {
            op_case c;
            begin_embedding(&c, position, type > 0, type > 1);
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

/* A type input that a batch leaves out means type 0. */
MTF_TEST(types_left_out_are_zeros)
{
    op_case given;
    op_case left_out;
    begin_embedding(&given, 1, 1, 1);
    test_now.random = 1;
    begin_embedding(&left_out, 1, 1, 1);
    if (op_build(&given) && op_build(&left_out)) {
        memset(given.ids[1], 0, 17 * sizeof *given.ids[1]);
        memcpy(left_out.ids[0], given.ids[0], 17 * sizeof *given.ids[0]);
        for (int i = 0; i < 3; i++) {
            memcpy(left_out.values[i], given.values[i],
                   (size_t)op_weight_size(&given, i) * sizeof(mtf_real));
        }
        memcpy(left_out.dout[0], given.dout[0], 17 * WIDTH * sizeof(mtf_real));
        free(left_out.ids[1]);
        left_out.ids[1] = NULL;
        op_grads a = op_backward(&given, op_need_all(&given), 0);
        op_grads b = op_backward(&left_out, op_need_all(&left_out), 0);
        CHECK_BITS(given.out[0], left_out.out[0], 17 * WIDTH * sizeof(mtf_real));
        op_check_same(&given, &a, &b, "left out means type 0");
        op_free_grads(&a);
        op_free_grads(&b);
    }
    op_end(&given);
    op_end(&left_out);
}

/* Wide enough for several column pieces, tall enough for several pieces of zeroed rows. */
MTF_TEST(laws_over_many_pieces)
{
    static const int64_t many[] = {30, 50, 1};
    op_case c;
    op_begin(&c, &mtf_op_embedding, many, 3);
    op_input_ids(&c, 0, OP_TOKENS, 1200);
    op_weight(&c, 0, 1200, 130);
    op_weight(&c, 1, 64, 130);
    for (int64_t row = 40; row < 81; row++) {
        c.ids[0][row] = 1199; /* one row of the table gathers many */
    }
    if (op_build(&c)) {
        op_check_all(&c);
    }
    op_end(&c);
}

/* Rows add up in token order, whatever the threads: the same sum, written out here. */
MTF_TEST(gradient_rows_add_in_token_order)
{
    op_case c;
    begin_embedding(&c, 1, 1, 1);
    if (op_build(&c)) {
        op_grads grads = op_backward(&c, op_need_all(&c), 0);
        mtf_real want[WORDS * WIDTH] = {0};
        for (int64_t row = 0; row < 17; row++) {
            for (int64_t j = 0; j < WIDTH; j++) {
                want[c.ids[0][row] * WIDTH + j] += c.dout[0][row * WIDTH + j];
            }
        }
        CHECK_BITS(grads.dw[0], want, sizeof want);
        op_free_grads(&grads);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_embedding(&c, 1, 1, 1);
    c.shape.weight_cols[1] = WIDTH + 1;
    op_check_refused(&c, MTF_ERR_SHAPE,
                     "weight 1 (position table) of shape (12, 7), found (12, 8)");
    c.shape.weight_cols[1] = WIDTH;
    c.shape.attrs.position_offset = PLACES;
    op_check_refused(&c, MTF_ERR_VALUE, "position offset from 0 to below the 12 rows");
    c.shape.attrs.position_offset = 0;
    c.shape.attrs.skips_pad = 1;
    op_check_refused(&c, MTF_ERR_VALUE, "a padding id of at least 0");
    c.shape.attrs.skips_pad = 0;
    c.shape.weight_rows[2] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight 2 (token type table), found none");
    c.shape.in[0].is_ids = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects ids in input 0 (ids), found real numbers");
    op_end(&c);
}
