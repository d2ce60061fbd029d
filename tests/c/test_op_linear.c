/* Linear with bias and activation: against plain loops, every activation, both layouts, a frozen
 * weight, and (float build) a weight large enough for OpenBLAS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 7, 2, 5};

static const mtf_activation activations[] = {MTF_ACT_NONE,       MTF_ACT_GELU,   MTF_ACT_GELU_NEW,
                                             MTF_ACT_RELU,       MTF_ACT_TANH,   MTF_ACT_SILU,
                                             MTF_ACT_QUICK_GELU, MTF_ACT_SIGMOID};

static void begin_linear(op_case *c, int64_t k, int64_t n, mtf_activation activation,
                         mtf_layout layout, int bias)
{
    op_begin(c, &mtf_op_linear, lengths, 5);
    c->shape.attrs.activation = activation;
    c->shape.attrs.layout = layout;
    op_input(c, 0, OP_TOKENS, k);
    op_weight(c, 0, layout == MTF_LAYOUT_IN_OUT ? k : n, layout == MTF_LAYOUT_IN_OUT ? n : k);
    if (bias) {
        op_weight(c, 1, n, 1);
        if (activation == MTF_ACT_RELU) { /* differences must not straddle the corner at 0 */
            for (int64_t j = 0; j < n; j++) {
                c->values[1][j] = (mtf_real)(j % 2 ? 20 : -20);
            }
        }
    }
}

static double activate(double x, mtf_activation activation)
{
    switch (activation) {
    case MTF_ACT_GELU:
        return x / 2 * (1 + erf(x / sqrt(2.0)));
    case MTF_ACT_GELU_NEW:
        return x / 2 * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case MTF_ACT_RELU:
        return x > 0 ? x : 0;
    case MTF_ACT_TANH:
        return tanh(x);
    case MTF_ACT_SILU:
        return x / (1 + exp(-x));
    case MTF_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case MTF_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    default:
        return x;
    }
}

MTF_TEST(forward_is_the_formula)
{
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        op_case c;
        begin_linear(&c, 6, 5, activations[a], MTF_LAYOUT_OUT_IN, 1);
        if (!op_build(&c)) {
            return;
        }
        op_forward(&c, c.out, c.aux, 0, 5);
        for (int64_t i = 0; i < op_size(&c, &c.shape.out[0]); i++) {
            int64_t row = i / 5;
            int64_t j = i % 5;
            double pre = (double)c.values[1][j];
            for (int64_t l = 0; l < 6; l++) {
                pre += (double)c.in[0][row * 6 + l] * (double)c.values[0][j * 6 + l];
            }
            CHECK_CLOSE(c.out[0][i], activate(pre, activations[a]), OP_CLOSE * 10);
            if (c.aux[0] != NULL) {
                CHECK_CLOSE(c.aux[0][i], pre, OP_CLOSE * 10);
            }
        }
        op_end(&c);
    }
}

MTF_TEST(laws_with_every_activation)
{
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        op_case c;
        begin_linear(&c, 6, 5, activations[a], MTF_LAYOUT_OUT_IN, 1);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(laws_without_bias_and_with_the_other_layout)
{
    for (int layout = 0; layout < 2; layout++) {
        for (int bias = 0; bias < 2; bias++) {
            op_case c;
            begin_linear(&c, 9, 4, bias ? MTF_ACT_GELU : MTF_ACT_NONE, (mtf_layout)layout, bias);
            if (op_build(&c)) {
                op_check_all(&c);
            }
            op_end(&c);
        }
    }
}

/* Query, key and value: one node, three weights, one of them without a bias. */
MTF_TEST(laws_of_layers_that_share_their_input)
{
    for (int n_parts = 2; n_parts <= 3; n_parts++) {
        for (uint32_t no_dout = 0; no_dout < 4; no_dout += 2) { /* nothing arrives at the second */
            op_case c;
            op_begin(&c, &mtf_op_linear, lengths, 5);
            c.no_dout = no_dout;
            op_input(&c, 0, OP_TOKENS, 6);
            for (int part = 0; part < n_parts; part++) {
                op_weight(&c, 2 * part, 4 + part, 6);
                if (part != 1) {
                    op_weight(&c, 2 * part + 1, 4 + part, 1);
                }
            }
            if (op_build(&c)) {
                op_check_all(&c);
                CHECK_INT(c.shape.out[n_parts - 1].width, 3 + n_parts);
            }
            op_end(&c);
        }
    }
    op_case c;
    begin_linear(&c, 6, 5, MTF_ACT_GELU, MTF_LAYOUT_OUT_IN, 1);
    op_weight(&c, 2, 5, 6);
    op_check_refused(&c, MTF_ERR_VALUE, "expect no activation");
    op_end(&c);
}

/* More rows and columns than one piece of any cut. */
MTF_TEST(laws_over_many_pieces)
{
    static const int64_t many[] = {130, 1, 63, 64, 10};
    op_case c;
    op_begin(&c, &mtf_op_linear, many, 5);
    c.shape.attrs.activation = MTF_ACT_TANH;
    op_input(&c, 0, OP_TOKENS, 20);
    op_weight(&c, 0, 70, 20);
    op_weight(&c, 1, 70, 1);
    if (op_build(&c)) {
        op_check_all(&c);
    }
    op_end(&c);
}

/* The shape goes to OpenBLAS where that is loaded; the laws are the same. */
MTF_TEST(laws_of_a_weight_for_blas)
{
    const int in_float =
        sizeof(mtf_real) == sizeof(float); /* in double there is no BLAS: fewer rows */
    const int64_t many[] = {20, 1, in_float ? 270 : 30, 3};
    mtf_error err = {0};
    if (strlen(MTF_TEST_OPENBLAS_PATH) > 0 && in_float) {
        CHECK_MSG(mtf_runtime_load_blas(MTF_TEST_OPENBLAS_PATH, &err) == MTF_OK, err.text);
    }
    op_case c;
    op_begin(&c, &mtf_op_linear, many, 4);
    op_input(&c, 0, OP_TOKENS, MTF_BLAS_MIN_WEIGHT / 256);
    op_weight(&c, 0, 256, MTF_BLAS_MIN_WEIGHT / 256);
    op_weight(&c, 1, 256, 1);
    if (op_build(&c)) {
        op_check_spans(&c);
        op_check_parts(&c);
        op_check_threads(&c);
    }
    op_end(&c);
}

MTF_TEST(saves_only_what_is_read)
{
    op_case c;
    begin_linear(&c, 6, 5, MTF_ACT_NONE, MTF_LAYOUT_OUT_IN, 1);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
        CHECK_INT(save.in | save.out | save.aux, 0); /* a frozen linear: never its input */
        save = c.op->saves(&c.shape, (mtf_need){.dx = 1, .dw = 2});
        CHECK_INT(save.in | save.out | save.aux, 0); /* its bias alone: neither */
        save = c.op->saves(&c.shape, (mtf_need){.dw = 1});
        CHECK(save.in == 1 && save.out == 0 && save.aux == 0);
    }
    op_end(&c);
    begin_linear(&c, 6, 5, MTF_ACT_GELU, MTF_LAYOUT_OUT_IN, 1);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
        CHECK(save.in == 0 && save.out == 0 && save.aux == 1);
        save = c.op->saves(&c.shape, (mtf_need){0});
        CHECK_INT(save.in | save.out | save.aux, 0);
    }
    op_end(&c);
}

MTF_TEST(costs_two_operations_a_product)
{
    op_case c;
    begin_linear(&c, 6, 5, MTF_ACT_NONE, MTF_LAYOUT_OUT_IN, 0);
    if (op_build(&c)) {
        mtf_extent extent = op_extent(&c);
        mtf_cost cost = c.op->cost(&c.shape, &extent, (mtf_need){.dx = 1, .dw = 1});
        const double product = 2.0 * 18 * 6 * 5; /* rows, K, N */
        CHECK(cost.forward == product && cost.dx == product && cost.dw == product);
        cost = c.op->cost(&c.shape, &extent, (mtf_need){.dw = 1});
        CHECK(cost.forward == product && cost.dx == 0 && cost.dw == product);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_linear(&c, 6, 5, MTF_ACT_NONE, MTF_LAYOUT_OUT_IN, 1);
    c.shape.weight_cols[0] = 7;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects weight 0 (weight) of shape (5, 6), found (5, 7)");
    c.shape.weight_cols[0] = 6;
    c.shape.weight_rows[1] = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight 1 (bias) of shape (5, 1), found (4, 1)");
    c.shape.weight_rows[0] = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "weight 0 (weight), found none");
    c.shape.in[0].width = 0;
    op_check_refused(&c, MTF_ERR_SHAPE, "input 0 (x), found none");
    op_end(&c);
}
