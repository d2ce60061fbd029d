/* From rows to one vector a sequence: mean_pool, first_pool; and normalize, which follows them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 8, 5};

enum { WIDTH = 7, N = 4 };

static void begin_pool(op_case *c, const mtf_op *op, int64_t width)
{
    op_begin(c, op, lengths, N);
    op_input(c, 0, OP_TOKENS, width);
}

MTF_TEST(mean_is_the_mean_of_the_rows)
{
    op_case c;
    begin_pool(&c, &mtf_op_mean_pool, WIDTH);
    if (op_build(&c)) {
        CHECK_INT(c.shape.out[0].space, MTF_SPACE_SEQUENCES);
        op_forward(&c, c.out, c.aux, 0, N);
        for (int64_t s = 0; s < N; s++) {
            for (int64_t j = 0; j < WIDTH; j++) {
                double sum = 0;
                for (int64_t row = c.offsets[1][s]; row < c.offsets[1][s + 1]; row++) {
                    sum += (double)c.in[0][row * WIDTH + j];
                }
                CHECK_CLOSE(c.out[0][s * WIDTH + j], sum / (double)lengths[s], OP_CLOSE);
            }
        }
    }
    op_end(&c);
}

MTF_TEST(first_is_the_first_row)
{
    op_case c;
    begin_pool(&c, &mtf_op_first_pool, WIDTH);
    if (op_build(&c)) {
        CHECK_INT(c.shape.out[0].space, MTF_SPACE_SEQUENCES);
        op_forward(&c, c.out, c.aux, 0, N);
        for (int64_t s = 0; s < N; s++) {
            CHECK_BITS(c.out[0] + s * WIDTH, c.in[0] + c.offsets[1][s] * WIDTH,
                       WIDTH * sizeof(mtf_real));
        }
    }
    op_end(&c);
}

MTF_TEST(laws_of_both_pools)
{
    static const mtf_op *const ops[] = {&mtf_op_mean_pool, &mtf_op_first_pool};
    static const int64_t widths[] = {WIDTH, 80};
    for (int i = 0; i < 2; i++) {
        for (int w = 0; w < 2; w++) {
            op_case c;
            begin_pool(&c, ops[i], widths[w]);
            if (op_build(&c)) {
                op_check_all(&c);
                mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
                CHECK_INT(save.in | save.out | save.aux, 0);
            }
            op_end(&c);
        }
    }
}

static void begin_normalize(op_case *c, int space, double eps)
{
    op_begin(c, &mtf_op_normalize, lengths, N);
    op_input(c, 0, space, WIDTH);
    c->shape.attrs.eps = (mtf_real)eps;
}

MTF_TEST(normalized_rows_have_length_one)
{
    op_case c;
    begin_normalize(&c, OP_TOKENS, 1e-12);
    if (op_build(&c)) {
        op_forward(&c, c.out, c.aux, 0, N);
        for (int64_t row = 0; row < 17; row++) {
            double squares = 0;
            double norm = 0;
            for (int64_t j = 0; j < WIDTH; j++) {
                squares += pow((double)c.out[0][row * WIDTH + j], 2);
                norm += pow((double)c.in[0][row * WIDTH + j], 2);
            }
            CHECK_CLOSE(squares, 1.0, OP_CLOSE);
            CHECK_CLOSE(c.aux[0][row], sqrt(norm), OP_CLOSE);
        }
    }
    op_end(&c);
}

/* eps 1e-12: all rows are longer; eps 100: all are shorter and the divisor is constant. */
MTF_TEST(laws_of_normalize)
{
    static const double eps[] = {1e-12, 100};
    for (int i = 0; i < 2; i++) {
        for (int space = 0; space < 2; space++) {
            op_case c;
            begin_normalize(&c, space, eps[i]);
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

MTF_TEST(normalize_keeps_zeros_and_nan)
{
    op_case c;
    begin_normalize(&c, MTF_SPACE_SEQUENCES, 1e-12);
    if (op_build(&c)) {
        for (int64_t j = 0; j < WIDTH; j++) {
            c.in[0][j] = 0;
        }
        c.in[0][WIDTH] = (mtf_real)NAN;
        op_forward(&c, c.out, c.aux, 0, N);
        for (int64_t j = 0; j < WIDTH; j++) {
            CHECK(c.out[0][j] == 0);
            CHECK(isnan((double)c.out[0][WIDTH + j]));
            CHECK(isfinite((double)c.out[0][2 * WIDTH + j]));
        }
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    static const mtf_op *const ops[] = {&mtf_op_mean_pool, &mtf_op_first_pool, &mtf_op_normalize};
    for (int i = 0; i < 3; i++) {
        op_case c;
        begin_pool(&c, ops[i], WIDTH);
        c.shape.in[0].is_ids = 1;
        op_check_refused(&c, MTF_ERR_SHAPE, "found ids; embed them first");
        op_end(&c);
    }
    op_case c;
    begin_normalize(&c, OP_TOKENS, -1);
    op_check_refused(&c, MTF_ERR_VALUE, "positive, finite eps, found -1");
    op_end(&c);
}
