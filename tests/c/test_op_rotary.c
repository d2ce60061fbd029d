/* Rotary positions: against plain loops in double, all of a head or its first columns, all heads or
 * the first of a fused product; the laws of operations; the inverse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 70, 2};

static void begin_rotary(op_case *c, int64_t n_heads, int32_t n_rotated, int64_t d, int64_t r)
{
    op_begin(c, &mtf_op_rotary, lengths, 4);
    c->shape.attrs.n_rotated = n_rotated;
    c->shape.attrs.head_width = d;
    c->shape.attrs.rotary_width = r;
    c->shape.attrs.theta = 10000;
    op_input(c, 0, OP_TOKENS, n_heads * d);
}

/* heads, of which turned, their width, of which turned */
static const int64_t cases[][4] = {{2, 2, 6, 6}, {3, 2, 10, 4}, {1, 1, 2, 2}, {6, 4, 32, 32}};
#define N_CASES (sizeof cases / sizeof *cases)

static void check_row(const op_case *c, int64_t row, int64_t place, const int64_t *sizes)
{
    const int64_t d = sizes[2];
    const int64_t half = sizes[3] / 2;
    for (int64_t j = 0; j < sizes[0] * d; j++) {
        const mtf_real *x = c->in[0] + row * sizes[0] * d + j;
        const int64_t lane = j % d;
        double want = (double)*x;
        if (j / d < sizes[1] && lane < 2 * half) {
            const double angle =
                (double)place * pow(10000, -2.0 * (double)(lane % half) / (2.0 * (double)half));
            const double other = lane < half ? -(double)x[half] : (double)x[-half];
            want = want * cos(angle) + other * sin(angle);
        }
        /* an angle of size 70 has lost 70 roundings of one */
        CHECK_CLOSE(c->out[0][row * sizes[0] * d + j], want, OP_CLOSE * 2);
    }
}

MTF_TEST(forward_is_the_formula)
{
    for (size_t i = 0; i < N_CASES; i++) {
        op_case c;
        begin_rotary(&c, cases[i][0], (int32_t)cases[i][1], cases[i][2], cases[i][3]);
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, 4);
            for (int64_t s = 0; s < 4; s++) {
                for (int64_t row = c.offsets[OP_TOKENS][s]; row < c.offsets[OP_TOKENS][s + 1];
                     row++) {
                    check_row(&c, row, row - c.offsets[OP_TOKENS][s], cases[i]);
                }
            }
        }
        op_end(&c);
    }
}

MTF_TEST(laws)
{
    for (size_t i = 0; i < N_CASES; i++) {
        op_case c;
        begin_rotary(&c, cases[i][0], (int32_t)cases[i][1], cases[i][2], cases[i][3]);
        if (op_build(&c)) {
            op_check_all(&c);
            const mtf_save save = c.op->saves(&c.shape, op_need_all(&c));
            CHECK_INT(save.in | save.out | save.aux, 0);
        }
        op_end(&c);
    }
}

/* A rotation's transpose is its inverse: what comes out, handed back as gradient, is what went in. */
MTF_TEST(backward_turns_back)
{
    for (size_t i = 0; i < N_CASES; i++) {
        op_case c;
        begin_rotary(&c, cases[i][0], (int32_t)cases[i][1], cases[i][2], cases[i][3]);
        if (op_build(&c)) {
            const int64_t n = op_size(&c, &c.shape.out[0]);
            op_forward(&c, c.out, c.aux, 0, 4);
            memcpy(c.dout[0], c.out[0], (size_t)n * sizeof *c.out[0]);
            op_grads grads = op_backward(&c, op_need_all(&c), 0);
            for (int64_t j = 0; j < n; j++) {
                CHECK_CLOSE(grads.din[0][j], c.in[0][j], OP_CLOSE);
            }
            op_free_grads(&grads);
        }
        op_end(&c);
    }
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_rotary(&c, 3, 2, 10, 4);
    c.shape.attrs.theta = 0.5;
    op_check_refused(&c, MTF_ERR_VALUE, "a theta of at least 1 and at most 1e30, found 0.5");
    c.shape.attrs.theta = NAN;
    op_check_refused(&c, MTF_ERR_VALUE, "a theta of at least 1");
    c.shape.attrs.n_rotated = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "1 to 3 heads to turn, found 4");
    c.shape.attrs.rotary_width = 12;
    op_check_refused(&c, MTF_ERR_SHAPE, "at most the 10 of a head, found 12");
    c.shape.attrs.rotary_width = 3;
    op_check_refused(&c, MTF_ERR_SHAPE, "an even number of columns to turn");
    c.shape.attrs.head_width = 7;
    op_check_refused(&c, MTF_ERR_SHAPE, "whole heads of 7 columns, found a width of 30");
    op_end(&c);
}
