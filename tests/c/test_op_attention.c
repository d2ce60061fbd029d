/* Attention: against plain loops, with several heads, grouped and fused ones, windows, dropout, a
 * relative bias, and queries and keys of different lengths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/flops.h"
#include "base/random.h"
#include "op_harness.h"

#include "ops/relative.h"

static const int64_t lengths[] = {3, 1, 8, 5};
static const int64_t key_lengths[] = {4, 2, 8, 9};

enum { HEADS = 4, DEPTH = 3, WIDTH = HEADS * DEPTH, LONGEST = 9, BUCKETS = 8, DISTANCE = 5, N = 4 };

typedef struct variant {
    int two_spaces, fused;
    int64_t left, right;
    int kv_heads, relative;
    double rate;
} variant;

static const variant variants[] = {
    {0, 0, -1, -1, 4, 0, 0.0}, {0, 0, -1, 0, 4, 0, 0.0},  {0, 0, -1, -1, 4, 1, 0.0},
    {0, 0, -1, -1, 4, 0, 0.3}, {1, 0, -1, -1, 4, 0, 0.0}, {1, 0, -1, 0, 4, 0, 0.0},
    {1, 0, -1, -1, 4, 1, 0.3}, {1, 0, -1, 0, 4, 1, 0.5},  {0, 0, 2, 2, 4, 0, 0.3},
    {0, 0, 3, 0, 4, 1, 0.0},   {1, 0, 1, -1, 2, 1, 0.0},  {0, 0, -1, 0, 2, 0, 0.3},
    {0, 0, -1, -1, 1, 1, 0.3}, {0, 1, -1, -1, 4, 0, 0.0}, {0, 1, 2, 1, 2, 1, 0.3},
};

static void begin_attention(op_case *c, const variant *v)
{
    int keys = v->two_spaces ? OP_KEYS : OP_TOKENS;
    op_begin(c, &mtf_op_attention, lengths, N);
    op_lengths(c, OP_KEYS, key_lengths);
    if (v->fused) {
        op_input(c, 0, OP_TOKENS, WIDTH + 2 * v->kv_heads * DEPTH);
    } else {
        op_input(c, 0, OP_TOKENS, WIDTH);
        op_input(c, 1, keys, v->kv_heads * DEPTH);
        op_input(c, 2, keys, v->kv_heads * DEPTH);
    }
    if (v->relative) {
        op_weight(c, 0, BUCKETS, HEADS);
    }
    c->shape.attrs.n_heads = HEADS;
    c->shape.attrs.n_kv_heads = v->kv_heads == HEADS ? 0 : v->kv_heads;
    c->shape.attrs.left = v->left;
    c->shape.attrs.right = v->right;
    c->shape.attrs.max_distance = DISTANCE;
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

/* Element d of row `row` of a head of keys (which 1) or values (which 2). */
static double key_value(const op_case *c, int which, int64_t row, int64_t head, int64_t d)
{
    const int64_t kv_width = c->shape.attrs.n_kv_heads * DEPTH;
    const int64_t column = head / (HEADS / c->shape.attrs.n_kv_heads) * DEPTH + d;
    if (c->in[1] == NULL) {
        const int64_t first = WIDTH + (which - 1) * kv_width;
        return (double)c->in[0][row * c->shape.in[0].width + first + column];
    }
    return (double)c->in[which][row * kv_width + column];
}

/* Bucket of a distance of at most 8, of BUCKETS up to DISTANCE: 2 + trunc(2 ln(n/2) / ln(5/2)). */
static int64_t bucket_of(int64_t distance)
{
    static const int64_t known[LONGEST] = {0, 1, 2, 2, 3, 3, 3, 3, 3};
    return distance < 0 ? BUCKETS / 2 + known[-distance] : known[distance];
}

/* Query i of one head of one sequence, in double: y (DEPTH), and its log-sum-exp. */
static double attend(const op_case *c, int64_t s, int64_t head, int64_t i, double *y)
{
    const int64_t *at_q = c->span.offsets[c->shape.in[0].space];
    const int64_t *at_k = c->span.offsets[c->shape.in[c->in[1] != NULL].space];
    const int64_t lk = at_k[s + 1] - at_k[s];
    const int64_t place = i + lk - (at_q[s + 1] - at_q[s]);
    double scores[LONGEST];
    double sum = 0;
    for (int64_t j = 0; j < lk; j++) {
        scores[j] = 0;
        if (c->values[0] != NULL) {
            scores[j] = (double)c->values[0][bucket_of(place - j) * HEADS + head];
        }
        for (int64_t d = 0; d < DEPTH; d++) {
            scores[j] += (double)c->shape.attrs.scale *
                         (double)c->in[0][(at_q[s] + i) * c->shape.in[0].width + head * DEPTH + d] *
                         key_value(c, 1, at_k[s] + j, head, d);
        }
        const int seen = (c->shape.attrs.left < 0 || j >= place - c->shape.attrs.left) &&
                         (c->shape.attrs.right < 0 || j <= place + c->shape.attrs.right);
        scores[j] = seen ? scores[j] : -INFINITY;
        sum += exp(scores[j]);
    }
    for (int64_t d = 0; d < DEPTH; d++) {
        y[d] = 0;
        for (int64_t j = 0; j < lk; j++) {
            y[d] += exp(scores[j]) / sum * kept(c, s, head, i, j) *
                    key_value(c, 2, at_k[s] + j, head, d);
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
    c.shape.attrs.left = c.shape.attrs.right = -1;
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
    const variant with_dropout = variants[3];
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
        CHECK(save.in == 7 && save.out == 1 && save.aux == 1);
        CHECK_INT(c.shape.aux[0].width, HEADS);
        CHECK_INT(c.shape.aux[1].width, 0);
        save = c.op->saves(&c.shape, (mtf_need){.dw = 1});
        CHECK(save.in == 7 && save.out == 1 && save.aux == 1);
        save = c.op->saves(&c.shape, (mtf_need){.dx = 4});
        CHECK(save.in == 3 && save.out == 0 && save.aux == 1);
        save = c.op->saves(&c.shape, (mtf_need){0});
        CHECK_INT(save.in | save.out | save.aux, 0);
    }
    op_end(&c);
    begin_attention(&c, &variants[13]);
    if (op_build(&c)) {
        mtf_save save = c.op->saves(&c.shape, (mtf_need){.dx = 1});
        CHECK(save.in == 1 && save.out == 1 && save.aux == 1);
    }
    op_end(&c);
}

/* A table of 32 buckets as transformers computes it for T5 and MPNet, both signs, around each border. */
MTF_TEST(buckets_of_distances)
{
    static const struct {
        int64_t distance, bucket;
    } known[] = {{0, 0},   {1, 1},   {7, 7},   {8, 8},   {11, 8},   {12, 9},   {15, 9},
                 {16, 10}, {22, 10}, {23, 11}, {31, 11}, {32, 12},  {45, 12},  {46, 13},
                 {63, 13}, {64, 14}, {90, 14}, {91, 15}, {127, 15}, {128, 15}, {511, 15}};
    enum { L = 512 };
    static mtf_real table[32], diagonals[2 * L - 1];
    const mtf_relative of = mtf_relative_of(32, 1, 128);
    for (int b = 0; b < 32; b++) {
        table[b] = (mtf_real)b;
    }
    mtf_relative_spread(diagonals, table, &of, L, L);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const int64_t n = known[i].distance;
        CHECK(diagonals[L - 1 + n] == (mtf_real)known[i].bucket);
        CHECK(diagonals[L - 1 - n] == (mtf_real)(known[i].bucket + (n > 0 ? 16 : 0)));
    }
}

/* FLOPs of the kernels that a run really calls, in all three directions. */
static void check_cost(op_case *c, mtf_need need)
{
    const mtf_extent extent = op_extent(c);
    const mtf_cost cost = c->op->cost(&c->shape, &extent, need);
    for (int i = 0; i < MTF_FLOPS_KINDS; i++) {
        mtf_flops_counted[i] = 0;
    }
    mtf_kernels_count(1);
    mtf_flops_on = 1;
    op_grads grads = op_backward(c, need, 0);
    mtf_flops_on = 0;
    mtf_kernels_count(0);
    CHECK_CLOSE((double)mtf_flops_counted[MTF_FLOPS_FORWARD], cost.forward, 0);
    CHECK_CLOSE((double)mtf_flops_counted[MTF_FLOPS_DX], cost.dx, 0);
    CHECK_CLOSE((double)mtf_flops_counted[MTF_FLOPS_DW], cost.dw, 0);
    op_free_grads(&grads);
}

MTF_TEST(costs_are_what_runs)
{
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        op_case c;
        begin_attention(&c, &variants[v]);
        if (op_build(&c)) {
            const mtf_need all = op_need_all(&c);
            check_cost(&c, all);
            for (uint32_t bit = 1; bit < 8; bit <<= 1) {
                check_cost(&c, (mtf_need){.dx = all.dx & bit});
            }
            check_cost(&c, (mtf_need){.dw = all.dw});
        }
        op_end(&c);
    }
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
        c.shape.attrs.right = 0;
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
    c.shape.attrs.n_kv_heads = 3;
    op_check_refused(&c, MTF_ERR_SHAPE, "divide the 4 heads of queries, found 3");
    c.shape.attrs.n_kv_heads = 0;
    c.shape.attrs.head_width = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "4 heads of width 4 side by side, found rows of 12");
    c.shape.attrs.head_width = 0;
    c.shape.attrs.rate = 1;
    op_check_refused(&c, MTF_ERR_VALUE, "at least 0 and below 1, found 1");
    c.shape.attrs.rate = 0;
    c.shape.attrs.scale = (mtf_real)NAN;
    op_check_refused(&c, MTF_ERR_VALUE, "finite scale, found nan");
    c.shape.attrs.scale = 1;
    c.shape.attrs.left = -2;
    op_check_refused(&c, MTF_ERR_VALUE, "or -1 for all, found -2");
    c.shape.in[2].space = OP_TOKENS;
    op_check_refused(&c, MTF_ERR_SHAPE, "k and v in one row space");
    c.shape.in[1].width = 8;
    op_check_refused(&c, MTF_ERR_SHAPE, "expects width 12 in input 1 (k), found 8");
    op_end(&c);
    begin_attention(&c, &variants[2]);
    c.shape.attrs.max_distance = 2;
    op_check_refused(&c, MTF_ERR_VALUE, "distance above 2 for 8 buckets, found 2");
    c.shape.weight_rows[0] = 7;
    op_check_refused(&c, MTF_ERR_SHAPE, "even number of relative buckets from 4 to 64, found 7");
    c.shape.weight_cols[0] = 3;
    op_check_refused(&c, MTF_ERR_SHAPE, "relative bias");
    op_end(&c);
    begin_attention(&c, &variants[13]);
    c.shape.attrs.head_width = 4;
    op_check_refused(&c, MTF_ERR_SHAPE, "12 heads of width 4 side by side, found rows of 36");
    op_end(&c);
}
