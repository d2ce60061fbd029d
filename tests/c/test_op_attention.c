/* Attention: against plain loops, with several heads, causal, dropout, a bias, and queries and keys
 * of different lengths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 8, 5};
static const int64_t key_lengths[] = {4, 2, 8, 9};

enum { HEADS = 3, WIDTH = 12, DEPTH = WIDTH / HEADS, BIAS_WIDTH = 11, N = 4 };

typedef struct variant {
    int two_spaces, causal, bias;
    double rate;
} variant;

static const variant variants[] = {
    {0, 0, 0, 0.0}, {0, 1, 0, 0.0}, {0, 0, 1, 0.0}, {0, 0, 0, 0.3},
    {1, 0, 0, 0.0}, {1, 1, 0, 0.0}, {1, 0, 1, 0.3}, {1, 1, 1, 0.5},
};

static void begin_attention(op_case *c, const variant *v)
{
    int keys = v->two_spaces ? OP_KEYS : OP_TOKENS;
    op_begin(c, &mtf_op_attention, lengths, N);
    op_lengths(c, OP_KEYS, key_lengths);
    op_input(c, 0, OP_TOKENS, WIDTH);
    op_input(c, 1, keys, WIDTH);
    op_input(c, 2, keys, WIDTH);
    if (v->bias) {
        op_input(c, 3, OP_TOKENS, BIAS_WIDTH);
        c->constant = 8;
    }
    c->shape.attrs.n_heads = HEADS;
    c->shape.attrs.causal = v->causal;
    c->shape.attrs.scale = (mtf_real)0.7;
    c->shape.attrs.rate = (mtf_real)v->rate;
    c->dropout_on = v->rate > 0;
    c->dropout_key = 99;
}

/* Factor of probability (query i, key j) of a head, as the header of attention.c defines it. */
static double kept(const op_case *c, int64_t sequence, int64_t head, int64_t i, int64_t j)
{
    if (!c->dropout_on) {
        return 1;
    }
    double rate = (double)c->shape.attrs.rate;
    uint64_t key = mtf_random_mix(c->dropout_key, c->shape.key);
    key = mtf_random_mix(key, (uint64_t)(c->span.first_sequence + sequence));
    key = mtf_random_mix(mtf_random_mix(key, (uint64_t)head), (uint64_t)i);
    int keep = mtf_mask_keeps(key, (uint32_t)j, (uint32_t)(rate * 4294967296.0));
    return keep ? 1 / (1 - rate) : 0;
}

/* Query i of one head of one sequence, in double: y (DEPTH), and its log-sum-exp. */
static double attend(const op_case *c, int64_t s, int64_t head, int64_t i, double *y)
{
    const int64_t *at_q = c->span.offsets[c->shape.in[0].space];
    const int64_t *at_k = c->span.offsets[c->shape.in[1].space];
    int64_t lk = at_k[s + 1] - at_k[s];
    int64_t seen = c->shape.attrs.causal ? i + lk - (at_q[s + 1] - at_q[s]) + 1 : lk;
    double scores[BIAS_WIDTH];
    double sum = 0;
    for (int64_t j = 0; j < seen; j++) {
        scores[j] = c->in[3] != NULL ? (double)c->in[3][(at_q[s] + i) * BIAS_WIDTH + j] : 0;
        for (int64_t d = 0; d < DEPTH; d++) {
            scores[j] += (double)c->shape.attrs.scale *
                         (double)c->in[0][(at_q[s] + i) * WIDTH + head * DEPTH + d] *
                         (double)c->in[1][(at_k[s] + j) * WIDTH + head * DEPTH + d];
        }
        sum += exp(scores[j]);
    }
    for (int64_t d = 0; d < DEPTH; d++) {
        y[d] = 0;
        for (int64_t j = 0; j < seen; j++) {
            y[d] += exp(scores[j]) / sum * kept(c, s, head, i, j) *
                    (double)c->in[2][(at_k[s] + j) * WIDTH + head * DEPTH + d];
        }
    }
    return log(sum);
}

MTF_TEST(forward_is_the_formula)
{
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        op_case c;
        begin_attention(&c, &variants[v]);
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, N);
            for (int64_t s = 0; s < N; s++) {
                for (int64_t i = 0; i < lengths[s]; i++) {
                    for (int64_t head = 0; head < HEADS; head++) {
                        double y[DEPTH];
                        int64_t row = c.offsets[OP_TOKENS][s] + i;
                        double lse = attend(&c, s, head, i, y);
                        CHECK_CLOSE(c.aux[0][row * HEADS + head], lse, OP_CLOSE);
                        for (int64_t d = 0; d < DEPTH; d++) {
                            CHECK_CLOSE(c.out[0][row * WIDTH + head * DEPTH + d], y[d], OP_CLOSE);
                        }
                    }
                }
            }
        }
        op_end(&c);
    }
}

MTF_TEST(laws_of_every_variant)
{
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        op_case c;
        begin_attention(&c, &variants[v]);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

/* Lengths and head widths around the lanes of vector kernels. */
MTF_TEST(laws_of_longer_sequences)
{
    static const int64_t longer[] = {33, 16, 1, 40};
    op_case c;
    op_begin(&c, &mtf_op_attention, longer, 4);
    for (int i = 0; i < 3; i++) {
        op_input(&c, i, OP_TOKENS, 64);
    }
    c.shape.attrs.n_heads = 2;
    c.shape.attrs.scale = (mtf_real)0.25;
    c.shape.attrs.rate = (mtf_real)0.1;
    c.dropout_on = 1;
    if (op_build(&c)) {
        op_check_all(&c);
    }
    op_end(&c);
}

MTF_TEST(dropout_follows_its_key)
{
    const variant with_dropout = {0, 0, 0, 0.3};
    op_case c;
    begin_attention(&c, &with_dropout);
    if (op_build(&c)) {
        size_t n = (size_t)op_size(&c, &c.shape.out[0]);
        mtf_real *first = op_new((int64_t)n);
        op_forward(&c, c.out, c.aux, 0, N);
        memcpy(first, c.out[0], n * sizeof *first);
        c.dropout_key++; /* another step draws another mask */
        op_forward(&c, c.out, c.aux, 0, N);
        CHECK(memcmp(first, c.out[0], n * sizeof *first) != 0);
        c.dropout_key--;
        c.shape.key++; /* and so does another operation */
        op_forward(&c, c.out, c.aux, 0, N);
        CHECK(memcmp(first, c.out[0], n * sizeof *first) != 0);
        free(first);
    }
    op_end(&c);
}

MTF_TEST(saves_no_probabilities)
{
    op_case c;
    begin_attention(&c, &variants[2]);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
        CHECK(save.in == 15 && save.out == 1 && save.aux == 1);
        CHECK_INT(c.shape.aux[0].width, HEADS);
        CHECK_INT(c.shape.aux[1].width, 0);
        save = c.op->saves(&c.shape, (mtf_need){0});
        CHECK_INT(save.in | save.out | save.aux, 0);
    }
    op_end(&c);
}

MTF_TEST(costs_follow_squared_lengths)
{
    op_case c;
    begin_attention(&c, &variants[0]);
    if (op_build(&c)) {
        mtf_extent extent = op_extent(&c);
        const mtf_need all = {.dx = 7}, value = {.dx = 4};
        mtf_cost cost = c.op->cost(&c.shape, &extent, all);
        double pairs = 9 + 1 + 64 + 25, rows = 3 + 1 + 8 + 5;
        CHECK(cost.forward >= 4 * pairs * WIDTH && cost.dx >= 10 * pairs * WIDTH && cost.dw == 0);
        CHECK(c.op->cost(&c.shape, &extent, value).dx == cost.dx - 6 * pairs * WIDTH);
        CHECK(c.op->cost(&c.shape, &extent, (mtf_need){0}).dx == 0);
        c.shape.attrs.causal = 1;
        CHECK_CLOSE(c.op->cost(&c.shape, &extent, all).forward,
                    cost.forward * (pairs + rows) / 2 / pairs, 1e-9);
    }
    op_end(&c);
}

MTF_TEST(wrong_shapes_are_refused)
{
    op_case c;
    begin_attention(&c, &variants[4]);
    c.shape.attrs.n_heads = 5;
    op_check_refused(&c, MTF_ERR_SHAPE, "divides the width 12, found 5");
    c.shape.attrs.n_heads = HEADS;
    c.shape.attrs.rate = 1;
    op_check_refused(&c, MTF_ERR_VALUE, "at least 0 and below 1, found 1");
    c.shape.attrs.rate = 0;
    c.shape.attrs.scale = (mtf_real)NAN;
    op_check_refused(&c, MTF_ERR_VALUE, "finite scale, found nan");
    c.shape.in[2].space = OP_TOKENS;
    op_check_refused(&c, MTF_ERR_SHAPE, "k and v in one row space");
    c.shape.in[1].width = 8;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 12 in input 1 (k), found 8");
    op_end(&c);
}
