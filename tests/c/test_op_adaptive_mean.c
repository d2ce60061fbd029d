/* Means of parts of grids: the formula, the laws, grids smaller than the parts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t heights[] = {5, 1, 8};
static const int64_t widths[] = {7, 3, 4};

static void begin(op_case *c, int64_t n, int64_t width, int64_t bins)
{
    op_begin(c, &mtf_op_adaptive_mean, heights, n);
    c->shape.attrs.bins = bins;
    op_grid(c, OP_TOKENS, heights, widths);
    op_input(c, 0, OP_TOKENS, width);
}

MTF_TEST(forward_is_the_formula)
{
    op_case c;
    begin(&c, 3, 5, 3);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, 3);
        for (int64_t s = 0; s < 3; s++) {
            for (int64_t place = 0; place < 9; place++) {
                const double h = (double)heights[s], w = (double)widths[s];
                const int64_t top = (int64_t)floor((double)(place / 3) * h / 3);
                const int64_t low = (int64_t)ceil((double)(place / 3 + 1) * h / 3);
                const int64_t left = (int64_t)floor((double)(place % 3) * w / 3);
                const int64_t right = (int64_t)ceil((double)(place % 3 + 1) * w / 3);
                for (int64_t j = 0; j < 5; j++) {
                    double sum = 0;
                    for (int64_t y = top; y < low; y++) {
                        for (int64_t x = left; x < right; x++) {
                            const int64_t row = c.offsets[OP_TOKENS][s] + y * widths[s] + x;
                            sum += (double)c.in[0][row * 5 + j];
                        }
                    }
                    CHECK_CLOSE((double)c.out[0][s * 45 + j * 9 + place],
                                sum / (double)((low - top) * (right - left)), OP_CLOSE);
                }
            }
        }
    }
    op_end(&c);
}

MTF_TEST(laws)
{
    for (int64_t bins = 1; bins <= 7; bins += 3) {
        op_case c;
        begin(&c, 3, 4, bins);
        if (op_build(&c)) {
            op_check_all(&c);
            CHECK_INT(c.op->saves(&c.shape, (mtf_need){.dx = 1}).in, 0);
        }
        op_end(&c);
    }
}

MTF_TEST(numbers_of_parts_are_checked)
{
    op_case c;
    begin(&c, 1, 1, 0);
    op_check_refused(&c, MTF_ERR_VALUE, "found 0");
    op_end(&c);
}
