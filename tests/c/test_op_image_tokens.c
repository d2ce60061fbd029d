/* The tokens of pictures: class tokens, patches, and positions drawn over grids of any size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

#include "ops/image_tokens.h"

enum { WIDTH = 70, PICTURES = 5, REGISTERS = 3, HIGH = 3, WIDE = 4 };

/* Grids of pictures: that of the table, larger, smaller, one patch, long. */
static const int64_t heights[PICTURES] = {HIGH, 7, 2, 1, 1};
static const int64_t widths[PICTURES] = {WIDE, 5, 2, 1, 9};

static void begin(op_case *c, int distillation, int registers, int grid_lead, int antialias)
{
    int64_t patches[PICTURES], tokens[PICTURES];
    const int64_t lead = 1 + distillation + registers;
    for (int i = 0; i < PICTURES; i++) {
        patches[i] = heights[i] * widths[i];
        tokens[i] = patches[i] + lead;
    }
    op_begin(c, &mtf_op_image_tokens, patches, PICTURES);
    op_lengths(c, OP_KEYS, tokens);
    c->span.widths[OP_TOKENS] = widths;
    op_input(c, 0, OP_TOKENS, WIDTH);
    op_weight(c, IMAGE_CLS, 1, WIDTH);
    if (distillation) {
        op_weight(c, IMAGE_DISTILLATION, 1, WIDTH);
    }
    if (registers > 0) {
        op_weight(c, IMAGE_REGISTERS, 1, registers * WIDTH);
    }
    op_weight(c, IMAGE_POSITIONS, 1, (grid_lead + HIGH * WIDE) * WIDTH);
    c->shape.attrs.grid_height = HIGH;
    c->shape.attrs.grid_width = WIDE;
    c->shape.attrs.grid_lead = grid_lead;
    c->shape.attrs.antialias = antialias;
    c->shape.attrs.token_space = OP_KEYS;
}

MTF_TEST(gradients_hold)
{
    static const int cases[][4] = {{0, 0, 1, 0}, {1, 0, 2, 0}, {0, REGISTERS, 1, 1}, {0, 0, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        op_case c;
        begin(&c, cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(rows_stand_where_they_should)
{
    op_case c;
    begin(&c, 1, REGISTERS, 2, 0);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, PICTURES);
        const mtf_real *table = c.values[IMAGE_POSITIONS];
        for (int64_t s = 0; s < PICTURES; s++) {
            const mtf_real *y = c.out[0] + c.offsets[OP_KEYS][s] * WIDTH;
            for (int64_t j = 0; j < WIDTH; j++) {
                CHECK(y[j] == c.values[IMAGE_CLS][j] + table[j]);
                CHECK(y[WIDTH + j] == c.values[IMAGE_DISTILLATION][j] + table[WIDTH + j]);
            }
            CHECK_BITS(y + 2 * WIDTH, c.values[IMAGE_REGISTERS],
                       REGISTERS * WIDTH * sizeof(mtf_real));
        }
        for (int64_t i = 0; i < HIGH * WIDE * WIDTH; i++) { /* the first has the table's grid */
            CHECK(c.out[0][(2 + REGISTERS) * WIDTH + i] == c.in[0][i] + table[2 * WIDTH + i]);
        }
    }
    op_end(&c);
}

/* tests/golden/make_cubic_weights.py made them. */
MTF_TEST(weights_are_those_of_torch)
{
    static const struct {
        int64_t from, size, index;
        int antialias;
        double weights[5];
    } cases[] = {
#include "cubic_weights.inc"
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const mtf_cubic_side side =
            mtf_cubic_place(cases[i].from, cases[i].size, cases[i].index, cases[i].antialias);
        for (int64_t p = 0; p < cases[i].from; p++) {
            const double found =
                p >= side.first && p <= side.last ? (double)mtf_cubic_weight(&side, p) : 0;
            CHECK_CLOSE(found, cases[i].weights[p], 1e-6);
        }
    }
}

MTF_TEST(constant_tables_stay_constant)
{
    for (int64_t from = 1; from <= 40; from++) {
        for (int64_t size = 1; size <= 40; size++) {
            for (int64_t index = 0; index < size; index++) {
                for (int antialias = 0; antialias < 2; antialias++) {
                    const mtf_cubic_side side = mtf_cubic_place(from, size, index, antialias);
                    double sum = 0;
                    CHECK(side.first >= 0 && side.first <= side.last && side.last < from);
                    for (int64_t p = side.first; p <= side.last; p++) {
                        sum += (double)mtf_cubic_weight(&side, p);
                    }
                    CHECK_CLOSE(sum, 1, 1e-5);
                }
            }
        }
    }
}

MTF_TEST(the_tables_own_grid_has_one_weight_a_point)
{
    for (int64_t n = 1; n <= 37; n++) {
        for (int64_t index = 0; index < n; index++) {
            for (int antialias = 0; antialias < 2; antialias++) {
                const mtf_cubic_side side = mtf_cubic_place(n, n, index, antialias);
                for (int64_t p = side.first; p <= side.last; p++) {
                    CHECK(mtf_cubic_weight(&side, p) == (mtf_real)(p == index));
                }
            }
        }
    }
}

MTF_TEST(wrong_nodes_are_refused)
{
    op_case c;
    begin(&c, 0, 0, 1, 0);
    c.shape.weight_cols[IMAGE_CLS] = WIDTH + 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "class token");
    op_end(&c);
    begin(&c, 0, 0, 1, 0);
    c.shape.attrs.grid_width = WIDE + 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "positions");
    op_end(&c);
    begin(&c, 0, 0, 2, 0);
    op_check_refused(&c, MTF_ERR_VALUE, "class tokens");
    op_end(&c);
    begin(&c, 0, REGISTERS, 1, 0);
    c.shape.weight_cols[IMAGE_REGISTERS] -= 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "registers");
    op_end(&c);
}
