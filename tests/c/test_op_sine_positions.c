/* Sines and cosines of where rows stand in their grids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

enum { N = 3, WIDTH = 12, HALF = WIDTH / 2 };
#define THETA 10000.0

static const int64_t heights[N] = {3, 1, 5}, widths[N] = {4, 6, 1};

static void begin(op_case *c)
{
    const int64_t lengths[N] = {12, 6, 5};
    op_begin(c, &mtf_op_sine_positions, lengths, N);
    op_grid(c, OP_TOKENS, heights, widths);
    c->shape.attrs.row_space = OP_TOKENS;
    c->shape.attrs.row_width = WIDTH;
    c->shape.attrs.theta = THETA;
}

/* Lane `lane` of the half of a side, as the published formula has it. */
static double expected(int64_t place, int64_t side, int64_t lane)
{
    const double angle = (double)(place + 1) / ((double)side + 1e-6) * 2 * 3.14159265358979323846;
    const double at = angle / pow(THETA, 2.0 * (double)(lane / 2) / HALF);
    return lane % 2 == 0 ? sin(at) : cos(at);
}

MTF_TEST(rows_are_told_apart_by_their_place)
{
    op_case c;
    begin(&c);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, N);
        const mtf_real *y = c.out[0];
        for (int s = 0; s < N; s++) {
            for (int64_t r = 0; r < heights[s] * widths[s]; r++, y += WIDTH) {
                for (int64_t i = 0; i < HALF; i++) {
                    const double down = expected(r / widths[s], heights[s], i);
                    const double across = expected(r % widths[s], widths[s], i);
                    CHECK(fabs((double)y[i] - down) < 1e-6);
                    CHECK(fabs((double)y[HALF + i] - across) < 1e-6);
                }
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
    }
    op_end(&c);
}

MTF_TEST(what_does_not_fit_is_refused)
{
    op_case c;
    begin(&c);
    c.shape.attrs.row_width = 10;
    op_check_refused(&c, MTF_ERR_SHAPE, "a multiple of 4");
    c.shape.attrs.row_width = WIDTH;
    c.shape.attrs.theta = 1;
    op_check_refused(&c, MTF_ERR_VALUE, "wavelengths above 1");
    c.shape.attrs.theta = THETA;
    c.shape.attrs.row_space = MTF_SPACE_SEQUENCES;
    op_check_refused(&c, MTF_ERR_VALUE, "the row space of a grid");
    op_end(&c);
}
