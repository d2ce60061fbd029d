/* Dropout: its mask is the one its header defines, in any span; off it is a copy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 70, 5};

enum { WIDTH = 9, ROWS = 79 };

static void begin_dropout(op_case *c, int space, double rate, int on)
{
    op_begin(c, &mtf_op_dropout, lengths, 4);
    op_input(c, 0, space, WIDTH);
    c->shape.attrs.rate = (mtf_real)rate;
    c->dropout_on = on;
    c->dropout_key = 31;
}

MTF_TEST(mask_is_drawn_by_sequence_position_and_lane)
{
    op_case c;
    begin_dropout(&c, OP_TOKENS, 0.4, 1);
    if (op_build(&c)) {
        int64_t dropped = 0;
        op_forward(&c, c.out, c.aux, 0, 4);
        for (int64_t s = 0; s < 4; s++) {
            for (int64_t place = 0; place < lengths[s]; place++) {
                uint64_t key = mtf_random_mix(c.dropout_key, c.shape.key);
                key = mtf_random_mix(key, (uint64_t)(c.span.first_sequence + s));
                key = mtf_random_mix(key, (uint64_t)place);
                for (uint32_t j = 0; j < WIDTH; j++) {
                    int64_t i = (c.offsets[OP_TOKENS][s] + place) * WIDTH + j;
                    double rate = (double)c.shape.attrs.rate;
                    int keep = mtf_mask_keeps(key, j, (uint32_t)(rate * 4294967296.0));
                    double y = keep ? (double)c.in[0][i] / (1 - rate) : 0;
                    CHECK_CLOSE(c.out[0][i], y, OP_CLOSE);
                    dropped += !keep;
                }
            }
        }
        /* 711 draws at 0.4: 284 on average, deviation 13 */
        CHECK(dropped > 284 - 80 && dropped < 284 + 80);
    }
    op_end(&c);
}

MTF_TEST(laws_in_both_row_spaces)
{
    static const int spaces[] = {OP_TOKENS, MTF_SPACE_SEQUENCES};
    for (int i = 0; i < 2; i++) {
        for (int on = 0; on < 2; on++) {
            op_case c;
            begin_dropout(&c, spaces[i], 0.4, on);
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

/* A row space without offsets and one with offsets 0, 1, 2, ... are the same. */
MTF_TEST(sequence_rows_need_no_offsets)
{
    op_case c;
    begin_dropout(&c, MTF_SPACE_SEQUENCES, 0.5, 1);
    if (op_build(&c)) {
        mtf_real without[4 * WIDTH];
        const int64_t ones[] = {1, 1, 1, 1};
        op_forward(&c, c.out, c.aux, 0, 4);
        memcpy(without, c.out[0], sizeof without);
        op_lengths(&c, MTF_SPACE_SEQUENCES, ones);
        op_forward(&c, c.out, c.aux, 0, 4);
        CHECK_BITS(without, c.out[0], sizeof without);
    }
    op_end(&c);
}

MTF_TEST(off_or_rate_zero_is_a_copy)
{
    for (int on = 0; on < 2; on++) {
        op_case c;
        begin_dropout(&c, OP_TOKENS, on ? 0.0 : 0.5, on);
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 4);
            CHECK_BITS(c.out[0], c.in[0], ROWS * WIDTH * sizeof(mtf_real));
        }
        op_end(&c);
    }
}

MTF_TEST(wrong_rates_are_refused)
{
    static const double rates[] = {-0.1, 1.0, 2.0, NAN};
    for (int i = 0; i < 4; i++) {
        op_case c;
        begin_dropout(&c, OP_TOKENS, rates[i], 1);
        op_check_refused(&c, MTF_ERR_VALUE, "dropout rate of at least 0 and below 1");
        op_end(&c);
    }
}
