/* Disentangled attention and the rows of distances that it reads: against plain loops, with either kind
 * of scores or both, dropout, and sequences of different lengths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "op_harness.h"

static const int64_t lengths[] = {3, 1, 8, 5};

enum { HEADS = 3, DEPTH = 2, WIDTH = HEADS * DEPTH, LONGEST = 8, N = 4, SPAN = 4 };

typedef struct variant {
    int by_key, by_query; /* kinds of scores with distances */
    double rate;
} variant;

static const variant variants[] = {{1, 1, 0}, {1, 0, 0}, {0, 1, 0.3}, {1, 1, 0.4}, {0, 0, 0}};

static void begin(op_case *c, const variant *v)
{
    op_begin(c, &mtf_op_disentangled, lengths, N);
    for (int i = 0; i < 7; i++) {
        if (i < 3 || (i < 5 ? v->by_key : v->by_query)) {
            op_input(c, i, OP_TOKENS, WIDTH);
        }
    }
    c->shape.attrs.n_heads = HEADS;
    c->shape.attrs.scale = (mtf_real)0.6;
    c->shape.attrs.rate = (mtf_real)v->rate;
    c->dropout_on = v->rate > 0;
    c->dropout_key = 99;
}

static double kept(const op_case *c, int64_t sequence, int64_t head, int64_t i, int64_t j)
{
    if (!c->dropout_on) {
        return 1;
    }
    const double rate = (double)c->shape.attrs.rate;
    uint64_t key = mtf_random_mix(c->dropout_key, c->shape.key);
    key = mtf_random_mix(key, (uint64_t)(c->span.first_sequence + sequence));
    key = mtf_random_mix(mtf_random_mix(key, (uint64_t)head), (uint64_t)i);
    return mtf_mask_keeps(key, (uint32_t)j, (uint32_t)(rate * 4294967296.0)) ? 1 / (1 - rate) : 0;
}

/* Dot product of a head of row a of input x with row b of input y; 0 where y is absent. */
static double dot(const op_case *c, int x, int64_t a, int y, int64_t b, int64_t head)
{
    double sum = 0;
    for (int64_t d = 0; c->in[y] != NULL && d < DEPTH; d++) {
        sum += (double)c->in[x][a * WIDTH + head * DEPTH + d] *
               (double)c->in[y][b * WIDTH + head * DEPTH + d];
    }
    return sum;
}

static void check_row(const op_case *c, int64_t s, int64_t head, int64_t i)
{
    const int64_t first = c->offsets[OP_TOKENS][s];
    double scores[LONGEST], sum = 0;
    for (int64_t j = 0; j < lengths[s]; j++) {
        const int back = j > i;
        const int64_t far = first + (back ? j - i : i - j);
        const double score = dot(c, 0, first + i, 1, first + j, head) +
                             dot(c, 0, first + i, 3 + back, far, head) +
                             dot(c, 1, first + j, 5 + back, far, head);
        scores[j] = exp((double)c->shape.attrs.scale * score);
        sum += scores[j];
    }
    CHECK_CLOSE(c->aux[0][(first + i) * HEADS + head], log(sum), OP_CLOSE);
    for (int64_t d = 0; d < DEPTH; d++) {
        const int64_t column = head * DEPTH + d;
        double y = 0;
        for (int64_t j = 0; j < lengths[s]; j++) {
            y += scores[j] / sum * kept(c, s, head, i, j) *
                 (double)c->in[2][(first + j) * WIDTH + column];
        }
        CHECK_CLOSE(c->out[0][(first + i) * WIDTH + column], y, OP_CLOSE);
    }
}

MTF_TEST(forward_is_the_formula)
{
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        op_case c;
        begin(&c, &variants[v]);
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, N);
            for (int64_t s = 0; s < N; s++) {
                for (int64_t i = 0; i < lengths[s] * HEADS; i++) {
                    check_row(&c, s, i % HEADS, i / HEADS);
                }
            }
        }
        op_end(&c);
    }
}

MTF_TEST(holds_the_laws_of_operations)
{
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        op_case c;
        begin(&c, &variants[v]);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(what_does_not_fit_is_refused)
{
    static const struct {
        int absent, narrow, heads;
        double scale;
        const char *said;
    } cases[] = {{4, -1, HEADS, 1, "kp back"}, {5, -1, HEADS, 1, "qp ahead"},
                 {2, -1, HEADS, 1, "(v)"},     {-1, 6, HEADS, 1, "qp back"},
                 {-1, -1, 4, 1, "heads"},      {-1, -1, 0, 1, "heads"},
                 {-1, -1, HEADS, 0, "scale"},  {-1, -1, HEADS, (double)INFINITY, "scale"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c;
        begin(&c, &variants[0]);
        c.shape.attrs.n_heads = cases[i].heads;
        c.shape.attrs.scale = (mtf_real)cases[i].scale;
        if (cases[i].absent >= 0) {
            c.shape.in[cases[i].absent].width = 0;
        }
        if (cases[i].narrow >= 0) {
            c.shape.in[cases[i].narrow].width = WIDTH - 1;
        }
        mtf_error err = {0};
        CHECK(c.op->check(&c.shape, &err) != MTF_OK);
        if (!CHECK(strstr(err.text, cases[i].said) != NULL)) {
            fprintf(stderr, "    %s\n", err.text);
        }
        op_end(&c);
    }
}

static void begin_rows(op_case *c, int64_t span, int64_t max_distance, int looks_back)
{
    op_begin(c, &mtf_op_distance_rows, lengths, N);
    op_input_ids(c, 0, OP_TOKENS, 3);
    op_weight(c, 0, 2 * span, WIDTH);
    c->shape.attrs.distance_span = span;
    c->shape.attrs.max_distance = max_distance;
    c->shape.attrs.looks_back = looks_back;
}

/* Rows of places 0 .. 7: as transformers' make_log_bucket_position gives them, clamped. */
MTF_TEST(distances_have_their_rows)
{
    static const struct {
        int64_t span, max_distance;
        int looks_back;
        int64_t rows[LONGEST];
    } cases[] = {{4, 0, 0, {4, 5, 6, 7, 7, 7, 7, 7}},        {4, 0, 1, {4, 3, 2, 1, 0, 0, 0, 0}},
                 {9, 0, 1, {9, 8, 7, 6, 5, 4, 3, 2}},        {4, 8, 0, {4, 5, 6, 7, 7, 7, 7, 7}},
                 {8, 12, 0, {8, 9, 10, 11, 12, 13, 14, 14}}, {8, 12, 1, {8, 7, 6, 5, 4, 3, 2, 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c;
        begin_rows(&c, cases[i].span, cases[i].max_distance, cases[i].looks_back);
        if (op_build(&c)) {
            op_forward(&c, c.out, c.aux, 0, N);
            for (int64_t r = 0; r < lengths[2]; r++) {
                CHECK_BITS(c.out[0] + (c.offsets[OP_TOKENS][2] + r) * WIDTH,
                           c.values[0] + cases[i].rows[r] * WIDTH, WIDTH * sizeof(mtf_real));
            }
        }
        op_end(&c);
    }
}

MTF_TEST(rows_of_distances_hold_the_laws_of_operations)
{
    for (int i = 0; i < 4; i++) {
        op_case c;
        begin_rows(&c, SPAN, i % 2 == 0 ? 0 : 9, i / 2);
        if (op_build(&c)) {
            op_check_all(&c);
        }
        op_end(&c);
    }
}

MTF_TEST(rows_of_distances_that_do_not_fit_are_refused)
{
    static const int64_t bad[][2] = {{0, 0}, {3, 9}, {8, 5}, {8, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        op_case c;
        begin_rows(&c, SPAN, 0, 0);
        c.shape.attrs.distance_span = bad[i][0];
        c.shape.attrs.max_distance = bad[i][1];
        op_check_refused(&c, MTF_ERR_VALUE, "span");
        op_end(&c);
    }
    op_case c;
    begin_rows(&c, SPAN, 0, 0);
    c.shape.attrs.distance_span = SPAN + 1;
    op_check_refused(&c, MTF_ERR_SHAPE, "table");
    op_end(&c);
}
