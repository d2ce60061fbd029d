/* Attention kernels of every level against a plain computation in double, forward and backward.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

#include "base/random.h"

/* Keys that a query sees before and after its place; -1: all. */
typedef struct window {
    int64_t left, right;
} window;

static const window all_keys = {-1, -1}, causal_keys = {-1, 0};

typedef struct head {
    int64_t lq, lk, d, ld;
    window seen;
    mtf_real scale;
    const mtf_mask *drop;
    buffer q, k, v, bias, out, lse, dout, dq, dk, dv, dbias, work;
    int with_bias, add;
} head;

static head head_new(int64_t lq, int64_t lk, int64_t d, window seen, int with_bias, int add,
                     const mtf_mask *drop)
{
    const int64_t ld = d + 3; /* rows are strided, as heads inside (T,C) are */
    head h = {.lq = lq, .lk = lk, .d = d, .ld = ld, .seen = seen, .drop = drop};
    h.with_bias = with_bias;
    h.add = add;
    h.scale = (mtf_real)(1 / sqrt((double)d));
    h.q = buffer_random(lq * ld, 1, -2.0, 2.0);
    h.k = buffer_random(lk * ld, 3, -2.0, 2.0);
    h.v = buffer_random(lk * ld, 5, -1.0, 1.0);
    h.bias = buffer_random(lq + lk - 1, 1, -1.0, 1.0);
    h.out = buffer_new(lq * ld, 2);
    h.lse = buffer_new(lq * 2, 0);
    h.dout = buffer_random(lq * ld, 1, -1.0, 1.0);
    h.dq = buffer_random(lq * ld, 2, -1.0, 1.0);
    h.dk = buffer_random(lk * ld, 3, -1.0, 1.0);
    h.dv = buffer_random(lk * ld, 4, -1.0, 1.0);
    h.dbias = buffer_random(lq + lk - 1, 3, -1.0, 1.0);
    h.work = buffer_new((int64_t)mtf_attention_work(d), 1);
    return h;
}

static void head_free(head h)
{
    buffer_free(h.q), buffer_free(h.k), buffer_free(h.v), buffer_free(h.bias);
    buffer_free(h.out), buffer_free(h.lse), buffer_free(h.dout), buffer_free(h.dq);
    buffer_free(h.dk), buffer_free(h.dv), buffer_free(h.dbias), buffer_free(h.work);
}

static mtf_attention_args args_of(const head *h)
{
    return (mtf_attention_args){.q = h->q.data,
                                .k = h->k.data,
                                .v = h->v.data,
                                .ldq = h->ld,
                                .ldk = h->ld,
                                .ldv = h->ld,
                                .out = h->out.data,
                                .ldo = h->ld,
                                .lse = h->lse.data,
                                .ld_lse = 2,
                                .relative = h->with_bias ? h->bias.data : NULL,
                                .lq = h->lq,
                                .lk = h->lk,
                                .d = h->d,
                                .left = h->seen.left,
                                .right = h->seen.right,
                                .scale = h->scale,
                                .drop = h->drop,
                                .work = h->work.data};
}

static void forward(const mtf_kernels *t, head *h)
{
    const mtf_attention_args args = args_of(h);
    t->attention_fwd(&args);
}

/* Without dq, dk and dbias it does not hand over what need not be there then. */
static void backward(const mtf_kernels *t, head *h, mtf_real *dq, mtf_real *dk, mtf_real *dv,
                     mtf_real *dbias)
{
    mtf_attention_args args = args_of(h);
    if (dq == NULL && dk == NULL && dbias == NULL) {
        args.out = NULL;
        args.v = NULL;
    }
    args.dout = h->dout.data;
    args.dq = dq;
    args.dk = dk;
    args.dv = dv;
    args.drelative = dbias;
    args.add_q = args.add_k = args.add_v = h->add;
    t->attention_bwd(&args);
}

static double at(buffer b, int64_t row, int64_t ld, int64_t column)
{
    return (double)b.data[row * ld + column];
}

/* Probabilities p (Lq,Lk) and what dropout multiplies them by, in double. */
static void probabilities(const head *h, double *p, double *keep, double *lse)
{
    for (int64_t i = 0; i < h->lq; i++) {
        double total = 0;
        const int64_t place = i + h->lk - h->lq;
        for (int64_t j = 0; j < h->lk; j++) {
            const int seen = (h->seen.left < 0 || j >= place - h->seen.left) &&
                             (h->seen.right < 0 || j <= place + h->seen.right);
            double s = h->with_bias ? (double)h->bias.data[i - j + h->lk - 1] : 0;
            for (int64_t c = 0; c < h->d; c++) {
                s += (double)h->scale * at(h->q, i, h->ld, c) * at(h->k, j, h->ld, c);
            }
            p[i * h->lk + j] = seen ? exp(s) : 0;
            total += p[i * h->lk + j];
            keep[i * h->lk + j] = 1;
            if (h->drop != NULL) {
                const uint64_t key = mtf_random_mix(h->drop->key, (uint64_t)i);
                keep[i * h->lk + j] = mtf_mask_keeps(key, (uint32_t)j, h->drop->threshold)
                                          ? (double)h->drop->keep_scale
                                          : 0;
            }
        }
        for (int64_t j = 0; j < h->lk && total > 0; j++) {
            p[i * h->lk + j] /= total;
        }
        lse[i] = log(total);
    }
}

static void check_head(const mtf_kernels *t, head *h)
{
    const int64_t lq = h->lq;
    const int64_t lk = h->lk;
    double *p = calloc((size_t)(lq * lk), sizeof *p);
    double *keep = calloc((size_t)(lq * lk), sizeof *keep);
    double *ds = calloc((size_t)(lq * lk), sizeof *ds);
    double *lse = calloc((size_t)lq, sizeof *lse);
    buffer dq0 = buffer_copy(h->dq, 0);
    buffer dk0 = buffer_copy(h->dk, 0);
    buffer dv0 = buffer_copy(h->dv, 0);
    buffer dbias0 = buffer_copy(h->dbias, 0);
    probabilities(h, p, keep, lse);
    forward(t, h);
    backward(t, h, h->dq.data, h->dk.data, h->dv.data, h->with_bias ? h->dbias.data : NULL);
    for (int64_t i = 0; i < lq; i++) {
        CHECK_CLOSE(h->lse.data[2 * i], lse[i], 1e-5);
        double delta = 0;
        for (int64_t c = 0; c < h->d; c++) {
            double o = 0;
            for (int64_t j = 0; j < lk; j++) {
                o += p[i * lk + j] * keep[i * lk + j] * at(h->v, j, h->ld, c);
            }
            CHECK_CLOSE(at(h->out, i, h->ld, c), o, TOLERANCE_ATTENTION);
            delta += o * at(h->dout, i, h->ld, c);
        }
        for (int64_t j = 0; j < lk; j++) {
            double dp = 0;
            for (int64_t c = 0; c < h->d; c++) {
                dp += at(h->dout, i, h->ld, c) * at(h->v, j, h->ld, c);
            }
            ds[i * lk + j] = (double)h->scale * p[i * lk + j] * (dp * keep[i * lk + j] - delta);
        }
        for (int64_t c = 0; c < h->d; c++) {
            double dq = h->add ? at(dq0, i, h->ld, c) : 0;
            for (int64_t j = 0; j < lk; j++) {
                dq += ds[i * lk + j] * at(h->k, j, h->ld, c);
            }
            CHECK_CLOSE(at(h->dq, i, h->ld, c), dq, TOLERANCE_ATTENTION_BWD);
        }
    }
    for (int64_t j = 0; j < lk; j++) {
        for (int64_t c = 0; c < h->d; c++) {
            double dk = h->add ? at(dk0, j, h->ld, c) : 0;
            double dv = h->add ? at(dv0, j, h->ld, c) : 0;
            for (int64_t i = 0; i < lq; i++) {
                dk += ds[i * lk + j] * at(h->q, i, h->ld, c);
                dv += p[i * lk + j] * keep[i * lk + j] * at(h->dout, i, h->ld, c);
            }
            CHECK_CLOSE(at(h->dk, j, h->ld, c), dk, TOLERANCE_ATTENTION_BWD);
            CHECK_CLOSE(at(h->dv, j, h->ld, c), dv, TOLERANCE_ATTENTION_BWD);
        }
    }
    for (int64_t n = 0; h->with_bias && n < lq + lk - 1; n++) {
        double sum = (double)dbias0.data[n];
        for (int64_t i = 0; i < lq; i++) {
            const int64_t j = i + lk - 1 - n;
            sum += j >= 0 && j < lk ? ds[i * lk + j] / (double)h->scale : 0;
        }
        CHECK_CLOSE(h->dbias.data[n], sum, TOLERANCE_ATTENTION_BWD);
    }
    buffer_free(dq0), buffer_free(dk0), buffer_free(dv0), buffer_free(dbias0);
    free(p), free(keep), free(ds), free(lse);
}

MTF_TEST(attention_values)
{
    static const int64_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 65};
    static const int64_t widths[] = {1, 4, 8, 12, 16, 17, 24, 32, 40, 64};
    const mtf_mask mask = {.key = 99, .threshold = 1u << 30, .keep_scale = (mtf_real)(4.0 / 3)};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int i = 0; i < 13; i++) {
            for (int w = 0; w < 10; w++) {
                const int64_t lk = lengths[(i * 5 + w) % 13];
                const window seen = (i + w) % 3 == 0 && lk >= lengths[i] ? causal_keys : all_keys;
                head h = head_new(lengths[i], w % 2 ? lengths[i] : lk, widths[w], seen, w % 4 == 0,
                                  i % 2, w % 3 == 1 ? &mask : NULL);
                check_head(&tables[l], &h);
                head_free(h);
            }
        }
    }
}

/* Around one tile of keys, two and four; few queries and as many as keys. */
MTF_TEST(attention_over_several_tiles)
{
    static const struct {
        int64_t lq, lk, d;
        int causal;
    } shapes[] = {{5, 127, 32, 0},   {23, 128, 20, 0},  {16, 129, 32, 0}, {9, 255, 33, 0},
                  {33, 256, 32, 0},  {17, 257, 64, 0},  {3, 511, 8, 0},   {24, 512, 32, 0},
                  {1, 513, 17, 0},   {129, 129, 32, 1}, {20, 257, 24, 1}, {257, 257, 12, 1},
                  {140, 130, 16, 1}, {40, 300, 32, 0}};
    const mtf_mask mask = {.key = 5, .threshold = 1u << 30, .keep_scale = (mtf_real)(4.0 / 3)};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            head h = head_new(shapes[i].lq, shapes[i].lk, shapes[i].d,
                              shapes[i].causal ? causal_keys : all_keys, i % 2 == 0, i % 4 > 1,
                              i % 3 == 1 ? &mask : NULL);
            check_head(&tables[l], &h);
            head_free(h);
        }
    }
}

/* Windows narrower than a block, than four queries, as wide as a tile and wider than the sequence, on
 * either side and on both. */
MTF_TEST(windows)
{
    static const window windows[] = {{0, 0}, {1, 0},   {0, 1},   {2, 2},     {5, -1},
                                     {9, 3}, {-1, 17}, {64, 64}, {130, 127}, {1000, 2000}};
    static const struct {
        int64_t lq, lk, d;
    } shapes[] = {{1, 1, 8},     {3, 3, 17},     {8, 9, 16}, {19, 19, 32},
                  {40, 300, 12}, {150, 150, 24}, {9, 4, 8}};
    const mtf_mask mask = {.key = 7, .threshold = 1u << 30, .keep_scale = (mtf_real)(4.0 / 3)};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
                head h = head_new(shapes[i].lq, shapes[i].lk, shapes[i].d, windows[w],
                                  (i + w) % 2 == 0, w % 3 == 0, (i + w) % 3 == 1 ? &mask : NULL);
                check_head(&tables[l], &h);
                head_free(h);
            }
        }
    }
}

/* What is not a number among the keys outside a window, or in queries that do not see a key, arrives
 * nowhere; nor is it read where no query sees it. */
MTF_TEST(windows_keep_what_is_outside_out)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            head h = head_new(30, 30, 16, (window){2, 1}, with_bias, 0, NULL);
            for (int64_t c = 0; c < 16; c++) {
                h.k.data[9 * h.ld + c] = h.v.data[9 * h.ld + c] = (mtf_real)NAN;
                h.dout.data[20 * h.ld + c] = (mtf_real)NAN;
            }
            forward(&tables[l], &h);
            backward(&tables[l], &h, h.dq.data, h.dk.data, h.dv.data,
                     with_bias ? h.dbias.data : NULL);
            for (int64_t i = 0; i < 30; i++) {
                const int sees_9 = i >= 8 && i <= 11;
                CHECK(!isnan(h.out.data[i * h.ld]) == !sees_9);
                CHECK(!isnan(h.dq.data[i * h.ld]) == !(sees_9 || i == 20));
                CHECK(!isnan(h.dv.data[i * h.ld]) ==
                      !((i >= 6 && i <= 12) || (i >= 18 && i <= 21)));
            }
            head_free(h);
        }
    }
}

/* The running maximum rises and falls from tile to tile, and scores go far below what exp can hold. */
MTF_TEST(scores_of_any_size_over_tiles)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int rising = 0; rising < 2; rising++) {
            head h = head_new(4, 400, 8, all_keys, 1, 0, NULL);
            for (int64_t n = 0; n < 4 + 400 - 1; n++) { /* of i - j + 399 */
                h.bias.data[n] = rising ? (mtf_real)-n : (mtf_real)(n - 402);
            }
            check_head(&tables[l], &h);
            head_free(h);
        }
    }
}

/* Each gradient may be left out, and the others keep their bits. */
MTF_TEST(gradients_that_nobody_wants)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int wanted = 0; wanted < 16; wanted++) {
            head h = head_new(9, 9, 16, all_keys, wanted / 8, 0, NULL);
            buffer got[4] = {buffer_new(9 * h.ld, 1), buffer_new(9 * h.ld, 1),
                             buffer_new(9 * h.ld, 1), buffer_copy(h.dbias, 1)};
            forward(&tables[l], &h);
            backward(&tables[l], &h, h.dq.data, h.dk.data, h.dv.data,
                     h.with_bias ? h.dbias.data : NULL);
            backward(&tables[l], &h, wanted & 1 ? got[0].data : NULL,
                     wanted & 2 ? got[1].data : NULL, wanted & 4 ? got[2].data : NULL,
                     wanted & 8 ? got[3].data : NULL);
            CHECK(!(wanted & 8) ||
                  memcmp(got[3].data, h.dbias.data, (size_t)(9 + 9 - 1) * sizeof(mtf_real)) == 0);
            for (int64_t i = 0; i < 9; i++) {
                const size_t bytes = (size_t)h.d * sizeof(mtf_real);
                const int64_t row = i * h.ld;
                CHECK(!(wanted & 1) || memcmp(got[0].data + row, h.dq.data + row, bytes) == 0);
                CHECK(!(wanted & 2) || memcmp(got[1].data + row, h.dk.data + row, bytes) == 0);
                CHECK(!(wanted & 4) || memcmp(got[2].data + row, h.dv.data + row, bytes) == 0);
            }
            for (int g = 0; g < 4; g++) {
                buffer_free(got[g]);
            }
            head_free(h);
        }
    }
}

/* A query's bits are its own: one query alone, and among any number of others. With limits those at
 * the end, so that each still sees its keys. */
static void check_bits(const mtf_kernels *t, int64_t lq, int64_t lk, int64_t d, window seen,
                       int with_bias)
{
    const int limited = seen.left >= 0 || seen.right >= 0;
    head h = head_new(lq, lk, d, seen, with_bias, 0, NULL);
    const size_t bytes = (size_t)d * sizeof(mtf_real);
    forward(t, &h);
    buffer all = buffer_copy(h.out, 0);
    buffer all_lse = buffer_copy(h.lse, 0);
    for (int64_t first = 0; first < lq; first++) {
        head one = h;
        one.q.data += first * h.ld;
        one.out.data += first * h.ld;
        one.bias.data += first;
        one.lse.data += 2 * first;
        one.lq = limited ? lq - first : 1 + first % (lq - first);
        forward(t, &one);
        for (int64_t i = 0; i < lq; i++) {
            CHECK_BITS(h.out.data + i * h.ld, all.data + i * h.ld, bytes);
            CHECK_BITS(&h.lse.data[2 * i], &all_lse.data[2 * i], sizeof(mtf_real));
        }
    }
    buffer_free(all), buffer_free(all_lse);
    head_free(h);
}

MTF_TEST(a_query_keeps_its_bits)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        check_bits(&tables[l], 11, 19, 20, all_keys, 0);
        check_bits(&tables[l], 23, 23, 32, all_keys, 0);
        check_bits(&tables[l], 40, 40, 32, all_keys, 1);
        check_bits(&tables[l], 21, 25, 17, causal_keys, 0);
        check_bits(&tables[l], 26, 257, 32, all_keys, 0);
        check_bits(&tables[l], 19, 300, 8, causal_keys, 1);
        check_bits(&tables[l], 70, 300, 8, causal_keys, 0);
        check_bits(&tables[l], 37, 37, 20, (window){3, 3}, 0);
        check_bits(&tables[l], 70, 300, 8, (window){130, 0}, 1);
        check_bits(&tables[l], 60, 280, 12, (window){131, 6}, 0);
    }
}

/* Causal: later keys, even NaN, do not reach earlier queries; a query without keys gives zeros. */
MTF_TEST(causal_attention_sees_nothing_later)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        head h = head_new(10, 10, 16, causal_keys, 0, 0, NULL);
        for (int64_t c = 0; c < 16; c++) {
            h.k.data[7 * h.ld + c] = (mtf_real)NAN;
            h.v.data[7 * h.ld + c] = (mtf_real)NAN;
        }
        forward(&tables[l], &h);
        for (int64_t i = 0; i < 10; i++) {
            CHECK(!isnan(h.out.data[i * h.ld]) == (i < 7));
        }
        head_free(h);
        head few = head_new(6, 2, 8, causal_keys, 0, 0, NULL);
        forward(&tables[l], &few);
        backward(&tables[l], &few, few.dq.data, few.dk.data, few.dv.data, NULL);
        for (int64_t i = 0; i < 4; i++) {
            CHECK(few.out.data[i * few.ld + 7] == 0 && few.dq.data[i * few.ld + 7] == 0);
            CHECK(few.lse.data[2 * i] == -(mtf_real)INFINITY);
        }
        CHECK(!isnan(few.out.data[5 * few.ld]) && !isnan(few.dk.data[0]));
        head_free(few);
    }
}
