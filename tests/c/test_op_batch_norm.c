/* Batch norms by the rows at hand: the formula in double, the laws with and without residual, ReLU and
 * ReLU6, data far from zero, and a forward that all workers share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

#define RESIDUAL 1U
#define RELU     2U
#define RELU6    4U

enum { WEIGHT, BIAS, MEAN, VARIANCE, COUNT, N_WEIGHTS };

static const int64_t lengths[] = {7, 1, 30, 12};
enum { N_SEQUENCES = sizeof lengths / sizeof *lengths };

/* Biases of 3 and -3, with RELU6 of 9 too: what an activation sees stays away from its corners. */
static void begin(op_case *c, const int64_t *rows, int64_t n, int64_t width, unsigned parts)
{
    op_begin(c, &mtf_op_batch_norm, rows, n);
    c->shape.attrs.eps = (mtf_real)1e-5;
    c->shape.attrs.activation = parts & RELU    ? MTF_ACT_RELU
                                : parts & RELU6 ? MTF_ACT_RELU6
                                                : MTF_ACT_NONE;
    op_input(c, 0, OP_TOKENS, width);
    if (parts & RESIDUAL) {
        op_input(c, 1, OP_TOKENS, width);
    }
    for (int i = 0; i < N_WEIGHTS; i++) {
        op_weight(c, i, i == COUNT ? 1 : width, 1);
    }
    for (int64_t j = 0; j < width; j++) {
        c->values[BIAS][j] = (mtf_real)(j % 3 == 1 ? -3 : parts & RELU6 && j % 3 == 2 ? 9 : 3);
    }
    c->constant_weights = 1U << MEAN | 1U << VARIANCE | 1U << COUNT;
}

static void statistics(const op_case *c, int64_t j, double *mean, double *variance)
{
    const int64_t rows = c->span.n_rows[OP_TOKENS];
    const int64_t width = c->shape.in[0].width;
    *mean = *variance = 0;
    for (int64_t r = 0; r < rows; r++) {
        *mean += (double)c->in[0][r * width + j] / (double)rows;
    }
    for (int64_t r = 0; r < rows; r++) {
        const double d = (double)c->in[0][r * width + j] - *mean;
        *variance += d * d / (double)rows;
    }
}

static void check_formula(op_case *c, double tolerance)
{
    const int64_t rows = c->span.n_rows[OP_TOKENS];
    const int64_t width = c->shape.in[0].width;
    op_forward(c, c->out, c->aux, 0, c->span.n_sequences);
    CHECK_CLOSE(c->found[COUNT][0], 1, 0);
    for (int64_t j = 0; j < width; j++) {
        double mean;
        double variance;
        statistics(c, j, &mean, &variance);
        const double unbiased = variance * (double)rows / (double)(rows - 1);
        CHECK_CLOSE(c->found[MEAN][j], mean, tolerance * (1 + fabs(mean)));
        CHECK_CLOSE(c->found[VARIANCE][j], unbiased, tolerance * unbiased);
        for (int64_t r = 0; r < rows; r++) {
            const int64_t at = r * width + j;
            double want = ((double)c->in[0][at] - mean) / sqrt(variance + 1e-5) *
                              (double)c->values[WEIGHT][j] +
                          (double)c->values[BIAS][j];
            want += c->in[1] != NULL ? (double)c->in[1][at] : 0;
            want = c->shape.attrs.activation != MTF_ACT_NONE && want < 0 ? 0 : want;
            want = c->shape.attrs.activation == MTF_ACT_RELU6 && want > 6 ? 6 : want;
            if (!CHECK_CLOSE(c->out[0][at], want, tolerance * (1 + fabs(mean)))) {
                return;
            }
        }
    }
}

MTF_TEST(forward_is_the_formula)
{
    static const int64_t widths[] = {1, 5, 8, 33, 70};
    for (unsigned parts = 0; parts < 6; parts++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            op_case c;
            begin(&c, lengths, N_SEQUENCES, widths[w], parts);
            if (op_build(&c)) {
                check_formula(&c, OP_CLOSE);
            }
            op_end(&c);
        }
    }
}

MTF_TEST(the_laws_hold)
{
    for (unsigned parts = 0; parts < 6; parts++) {
        op_case c;
        begin(&c, lengths, N_SEQUENCES, 5, parts);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

/* Several pieces of rows; a mean that is a thousand deviations away. */
MTF_TEST(long_and_far_data_keep_their_digits)
{
    const int64_t many[] = {1500, 700, 1};
    op_case c;
    begin(&c, many, 3, 3, 0);
    for (int64_t i = 0; i < 2201 * 3; i++) {
        c.in[0][i] += 500 * (mtf_real)(i % 3);
    }
    if (op_build(&c)) {
        check_formula(&c, OP_CLOSE);
        op_check_threads(&c);
    }
    op_end(&c);
}

/* Forward as a wide one runs it. */
static void wide_forward(op_case *c, mtf_real *y)
{
    mtf_op_call call = {
        .shape = &c->shape, .span = &c->span, .in = {c->in[0], c->in[1]}, .out = {y}};
    const mtf_extent extent = op_span_extent(&c->span);
    for (int i = 0; i < N_WEIGHTS; i++) {
        call.w[i] = &c->w[i];
        call.found[i] = c->found[i];
    }
    call.work_stride = c->op->work(&c->shape, &extent, 0);
    call.work = op_new((int64_t)call.work_stride * mtf_threads_get());
    c->op->forward(&call);
    free(call.work);
}

MTF_TEST(workers_that_share_a_forward_make_the_same_bits)
{
    const int64_t many[] = {3000, 1, 1100};
    static const int counts[] = {1, 2, 3, 8};
    const int before = mtf_threads_get();
    op_case c;
    mtf_error err;
    begin(&c, many, 3, 70, RESIDUAL | RELU);
    if (op_build(&c)) {
        const size_t bytes = (size_t)op_size(&c, &c.shape.out[0]) * sizeof(mtf_real);
        mtf_real *y = op_new(op_size(&c, &c.shape.out[0]));
        op_forward(&c, c.out, c.aux, 0, 3);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            CHECK_INT(mtf_threads_set(counts[i], &err), MTF_OK);
            wide_forward(&c, y);
            CHECK_BITS(y, c.out[0], bytes);
        }
        free(y);
    }
    CHECK_INT(mtf_threads_set(before, &err), MTF_OK);
    op_end(&c);
}

MTF_TEST(nodes_that_do_not_fit_are_refused)
{
    op_case c;
    begin(&c, lengths, N_SEQUENCES, 4, 0);
    c.shape.weight_rows[MEAN] = 3;
    op_check_refused(&c, MTF_ERR_SHAPE, "mean");
    c.shape.weight_rows[MEAN] = 4;
    c.shape.weight_rows[COUNT] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "count");
    c.shape.weight_rows[COUNT] = 1;
    c.shape.attrs.activation = MTF_ACT_GELU;
    op_check_refused(&c, MTF_ERR_VALUE, "relu");
    c.shape.attrs.activation = MTF_ACT_NONE;
    c.shape.attrs.eps = 0;
    op_check_refused(&c, MTF_ERR_VALUE, "eps");
    op_end(&c);
}
