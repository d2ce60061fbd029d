/* From rows to one vector a sequence: mean_pool, row_pool, max_pool; concat and normalize, which
 * follow them. SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 8, 5};
/* What of them is left out: some rows, more than there are, none, all. */
static const int32_t skips[] = {2, 9, 0, 5};

enum { WIDTH = 7, N = 4, N_KINDS = 6 };

static const mtf_pooling kinds[N_KINDS] = {MTF_POOL_MEAN,          MTF_POOL_MEAN_SQRT_LEN,
                                           MTF_POOL_WEIGHTED_MEAN, MTF_POOL_FIRST,
                                           MTF_POOL_LAST,          MTF_POOL_MAX};

static const mtf_op *op_of(mtf_pooling kind)
{
    return kind == MTF_POOL_MAX     ? &mtf_op_max_pool
           : kind >= MTF_POOL_FIRST ? &mtf_op_row_pool
                                    : &mtf_op_mean_pool;
}

static void begin_pool(op_case *c, mtf_pooling kind, int64_t width, int skip)
{
    op_begin(c, op_of(kind), lengths, N);
    op_input(c, 0, OP_TOKENS, width);
    c->shape.attrs.pooling = kind;
    /* Differences of a maximum need values of a column that lie apart: the 17 rows are permuted. */
    for (int64_t i = 0; kind == MTF_POOL_MAX && i < 17 * width; i++) {
        c->in[0][i] = (mtf_real)((7 * (i / width) + 3 * (i % width)) % 17) / 8 - 1;
    }
    if (skip) {
        op_input_ids(c, 1, MTF_SPACE_SEQUENCES, 1);
        memcpy(c->ids[1], skips, sizeof skips);
    }
}

/* By the formulas, over the rows first .. n-1 of one sequence, x (n, WIDTH). */
static double expected(mtf_pooling kind, const mtf_real *x, int64_t first, int64_t n, int64_t j)
{
    double sum = 0;
    double weights = 0;
    double most = -INFINITY;
    for (int64_t row = first; row < n; row++) {
        const double weight = kind == MTF_POOL_WEIGHTED_MEAN ? (double)row + 1 : 1;
        sum += weight * (double)x[row * WIDTH + j];
        weights += weight;
        most = fmax(most, (double)x[row * WIDTH + j]);
    }
    switch (kind) {
    case MTF_POOL_FIRST:
        return (double)x[first * WIDTH + j];
    case MTF_POOL_LAST:
        return (double)x[(n - 1) * WIDTH + j];
    case MTF_POOL_MAX:
        return most;
    case MTF_POOL_MEAN_SQRT_LEN:
        return sum / sqrt(weights);
    default:
        return sum / weights;
    }
}

MTF_TEST(pools_are_their_formulas)
{
    for (int k = 0; k < N_KINDS; k++) {
        for (int skip = 0; skip < 2; skip++) {
            op_case c;
            begin_pool(&c, kinds[k], WIDTH, skip);
            if (op_build(&c)) {
                CHECK_INT(c.shape.out[0].space, MTF_SPACE_SEQUENCES);
                op_forward(&c, c.out, c.aux, 0, N);
                for (int64_t i = 0; i < N * WIDTH; i++) {
                    const int64_t s = i / WIDTH;
                    int64_t first = skip ? skips[s] : 0;
                    first = first < lengths[s] ? first : lengths[s] - 1;
                    const double want = expected(kinds[k], c.in[0] + c.offsets[1][s] * WIDTH, first,
                                                 lengths[s], i % WIDTH);
                    CHECK_CLOSE(c.out[0][i], want, OP_CLOSE);
                }
            }
            op_end(&c);
        }
    }
}

MTF_TEST(laws_of_pools)
{
    static const int64_t widths[] = {WIDTH, 80};
    for (int k = 0; k < N_KINDS; k++) {
        for (int w = 0; w < 4; w++) {
            op_case c;
            begin_pool(&c, kinds[k], widths[w % 2], w / 2);
            if (op_build(&c)) {
                op_check_all(&c);
                const mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
                CHECK_INT(save.in, w / 2 ? 2 : 0);
                CHECK_INT(save.out, 0);
                CHECK_INT(save.aux, kinds[k] == MTF_POOL_MAX);
            }
            op_end(&c);
        }
    }
}

/* The gradient of a maximum that several rows have goes to the first of them; a NaN is a maximum. */
MTF_TEST(rows_that_are_always_left_out)
{
    for (int k = 0; k < N_KINDS; k++) {
        op_case c, same;
        begin_pool(&c, kinds[k], WIDTH, 0);
        c.shape.attrs.skip_rows = 2; /* more than the second has */
        begin_pool(&same, kinds[k], WIDTH, 1);
        for (int s = 0; s < N; s++) {
            same.ids[1][s] = 2;
        }
        if (op_build(&c) && op_build(&same)) {
            memcpy(same.in[0], c.in[0], (size_t)op_size(&c, &c.shape.in[0]) * sizeof(mtf_real));
            op_forward(&c, c.out, c.aux, 0, N);
            op_forward(&same, same.out, same.aux, 0, N);
            CHECK_BITS(c.out[0], same.out[0], N * WIDTH * sizeof(mtf_real));
            op_check_all(&c);
        }
        op_end(&c);
        op_end(&same);
    }
}

MTF_TEST(maxima_that_are_equal_or_not_numbers)
{
    op_case c;
    begin_pool(&c, MTF_POOL_MAX, WIDTH, 0);
    if (op_build(&c)) {
        for (int64_t row = 0; row < 3; row++) {
            c.in[0][row * WIDTH] = 1;
            c.in[0][row * WIDTH + 1] = row == 1 ? (mtf_real)NAN : (mtf_real)row;
        }
        op_grads grads = op_backward(&c, (mtf_need){.dx = 1}, 0);
        CHECK(isnan((double)c.out[0][1]));
        CHECK_CLOSE(grads.din[0][0], (double)c.dout[0][0], 0);
        CHECK(grads.din[0][WIDTH] == 0 && grads.din[0][2 * WIDTH] == 0);
        CHECK_CLOSE(grads.din[0][WIDTH + 1], (double)c.dout[0][1], 0);
        CHECK(grads.din[0][1] == 0 && grads.din[0][2 * WIDTH + 1] == 0);
        op_free_grads(&grads);
    }
    op_end(&c);
}

MTF_TEST(concat_puts_columns_side_by_side)
{
    for (int n = 2; n <= MTF_MAX_IN; n++) {
        for (int space = 0; space < 2; space++) {
            op_case c;
            op_begin(&c, &mtf_op_concat, lengths, N);
            for (int k = 0; k < n; k++) {
                op_input(&c, k, space, 2 * k + 1);
            }
            if (op_build(&c)) {
                CHECK_INT(c.shape.out[0].width, (int64_t)n * n);
                op_check_all(&c);
                op_forward(&c, c.out, c.aux, 0, N);
                CHECK(c.out[0][n * n + 0] == c.in[0][1]); /* row 1 of the first */
                CHECK(c.out[0][n * n + 3] == c.in[1][3 + 2]);
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
    op_case c;
    for (int k = 0; k < N_KINDS; k++) {
        begin_pool(&c, kinds[k], WIDTH, 1);
        c.shape.in[0].is_ids = 1;
        op_check_refused(&c, MTF_ERR_SHAPE, "found ids; embed them first");
        c.shape.in[0].is_ids = 0;
        c.shape.in[1].space = OP_TOKENS;
        op_check_refused(&c, MTF_ERR_SHAPE, "one id a sequence");
        c.shape.in[1] = (mtf_slot){.width = 3};
        op_check_refused(&c, MTF_ERR_SHAPE, "expects ids in input 1 (skip)");
        c.shape.in[1] = (mtf_slot){0};
        c.shape.attrs.pooling = kinds[k] == MTF_POOL_MEAN ? MTF_POOL_MAX : MTF_POOL_MEAN;
        if (op_of(kinds[k]) != op_of(c.shape.attrs.pooling)) {
            op_check_refused(&c, MTF_ERR_VALUE, "expects a kind of pooling");
        }
        op_end(&c);
    }
    begin_normalize(&c, OP_TOKENS, -1);
    op_check_refused(&c, MTF_ERR_VALUE, "positive, finite eps, found -1");
    c.shape.in[0].is_ids = 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "found ids; embed them first");
    op_end(&c);
    op_begin(&c, &mtf_op_concat, lengths, N);
    op_input(&c, 0, OP_TOKENS, 2);
    op_check_refused(&c, MTF_ERR_SHAPE, "expects input 1 (x), found none");
    op_input(&c, 1, MTF_SPACE_SEQUENCES, 2);
    op_check_refused(&c, MTF_ERR_SHAPE, "in the row space of its first input");
    op_end(&c);
}
