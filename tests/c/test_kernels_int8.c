/* Products with int8 panels at every level: equal bits to the reference in all shapes, layouts and
 * epilogues, the reference to the definition; rows of zeros, large and small values, NaN, infinity,
 * guards.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reduced_case.h"

static const mtf_epilogue PLAIN = {NULL, NULL, MTF_ACT_NONE, 0};

/* Runs both and compares bits, of pre too. Gives free what it made. */
static void check_bits(const mtf_kernels *ref, const mtf_kernels *level, const reduced_case *c,
                       int add, int bias, int pre)
{
    const reduced_panels p = pack_int8(ref, c);
    buffer y = buffer_random((c->m - 1) * c->ldy + c->n, 1, -1.0, 1.0);
    buffer want = buffer_copy(y, 2);
    buffer before = buffer_copy(y, 0);
    buffer y_pre = buffer_copy(y, 3);
    buffer want_pre = buffer_copy(y, 0);
    mtf_epilogue e = {bias ? c->bias.data : NULL, NULL, MTF_ACT_NONE, add};
    e.pre = pre ? want_pre.data : NULL;
    run_int8(ref, c, &p, want, 0, c->m, &e);
    e.pre = pre ? y_pre.data : NULL;
    run_int8(level, c, &p, y, 0, c->m, &e);
    for (int64_t i = 0; i < c->m; i++) {
        const int64_t at = i * c->ldy;
        int same = 1;
        for (int64_t j = 0; j < c->n; j++) { /* a NaN may carry other bits */
            same = same && ((isnan(y.data[at + j]) && isnan(want.data[at + j])) ||
                            memcmp(y.data + at + j, want.data + at + j, sizeof *y.data) == 0);
        }
        CHECK_MSG(same, "bits of a row");
        if (same && pre && !isnan(y.data[at])) {
            CHECK_BITS(y_pre.data + at, want_pre.data + at, (size_t)c->n * sizeof *y.data);
        }
    }
    check_between_rows(c, y, before);
    buffer_free(y), buffer_free(want), buffer_free(before), buffer_free(y_pre);
    buffer_free(want_pre);
    panels_free(p);
}

MTF_TEST(products_have_the_bits_of_the_reference)
{
    static const int64_t columns[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 65, 97};
    static const int64_t terms[] = {1, 2, 3, 4, 5, 8, 15, 31, 63, 64, 65, 131};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        for (int64_t m = 1; m <= 45; m += m < 31 ? 1 : 4) {
            for (int j = 0; j < 12; j++) {
                const int64_t k = terms[(m + 5 * j) % 12];
                const reduced_case c = reduced_new(m, columns[j], k, (int)(m + j / 2) % 2);
                check_bits(&tables[0], &tables[l], &c, j % 2, j % 4 >= 2, j % 3 == 0);
                reduced_free(c);
            }
        }
    }
}

/* Rows longer than the blocks of k, more rows than work holds, real shapes. */
MTF_TEST(products_beyond_the_blocks)
{
    static const int64_t shapes[][3] = {{130, 70, 37}, {30, 33, 1100}, {5, 96, 2049},
                                        {409, 5, 600}, {29, 384, 384}, {384, 64, 1536},
                                        {23, 64, 4096}};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (int turned = 0; turned < 2; turned++) {
                const reduced_case c =
                    reduced_new(shapes[s][0], shapes[s][1], shapes[s][2], turned);
                check_bits(&tables[0], &tables[l], &c, turned, 1, 0);
                reduced_free(c);
            }
        }
    }
}

/* The quantised weight of term p in column j. */
static int64_t weight_of(const reduced_case *c, const reduced_panels *p, int64_t j, int64_t term)
{
    const int64_t fours = (c->k + 3) / 4;
    const int8_t *panel = (const int8_t *)p->values.data + j / MTF_PANEL * MTF_PANEL * 4 * fours;
    return panel[(term / 4 * MTF_PANEL + j % MTF_PANEL) * 4 + term % 4];
}

/* A product as kernels.def defines it, term by term: y (n) of row i. */
static void defined_row(float *y, const reduced_case *c, const reduced_panels *p, int64_t i)
{
    float low = INFINITY, high = -INFINITY;
    int finite = 1;
    for (int64_t t = 0; t < c->k; t++) {
        const float x = *reduced_x(c, i, t);
        finite = finite && isfinite(x);
        low = fminf(low, x);
        high = fmaxf(high, x);
    }
    const float half = 0.5F * high - 0.5F * low;
    const int varies = finite && half >= MTF_INT8_LEAST;
    const float step = varies ? half / 127.5F : 0;
    for (int64_t j = 0; j < c->n; j++) {
        int64_t acc = 0, column = 0;
        for (int64_t t = 0; t < c->k; t++) {
            const float above = fmaf(*reduced_x(c, i, t), 0.5F, -0.5F * low);
            const long q = varies ? lrintf(above * (255.0F / half)) : 0;
            CHECK(q >= 0 && q <= 255);
            acc += q * weight_of(c, p, j, t);
            column += weight_of(c, p, j, t);
        }
        CHECK(acc <= INT32_MAX && acc >= -INT32_MAX);
        const float value = (float)acc * (step * p->scale[j]);
        y[j] = finite ? fmaf(low, p->scale[j] * (float)column, value) + 0 : NAN;
    }
}

/* Every level, every row of the case: the bits of the definition. */
static void check_definition(const reduced_case *c)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_panels p = pack_int8(&tables[0], c);
    buffer y = buffer_new(c->m * c->ldy, 1);
    buffer want = buffer_new(c->n, 0);
    for (int l = 0; l < n_levels; l++) {
        run_int8(&tables[l], c, &p, y, 0, c->m, &PLAIN);
        for (int64_t i = 0; i < c->m; i++) {
            const mtf_real *got = y.data + i * c->ldy;
            if (l == 0) {
                defined_row(want.data, c, &p, i);
                CHECK_MSG(isnan(got[0]) == isnan(want.data[0]), "NaN where there is one");
            } else {
                run_int8(&tables[0], c, &p, want, i, 1, &PLAIN);
            }
            for (int64_t j = 0; j < c->n && !isnan(want.data[j]); j++) {
                CHECK_BITS(got + j, want.data + j, sizeof *got);
            }
        }
    }
    buffer_free(y), buffer_free(want);
    panels_free(p);
}

enum {
    RANDOM,
    CONSTANT,
    ZEROS,
    NEGATIVE_ZEROS,
    POSITIVE,
    NEGATIVE,
    OUTLIER,
    FAR,
    DENORMAL,
    SMALL,
    VERY_LARGE,
    TIES,
    GELU_LIKE,
    WITH_NAN,
    WITH_INFINITY,
    WITH_NEGATIVE_INFINITY,
    N_KINDS
};

/* Row i of x (one of each kind) from random values within [-1, 1]. */
static void make_kind(const reduced_case *c, int kind)
{
    static const mtf_real odd[] = {NAN, INFINITY, -INFINITY};
    for (int64_t t = 0; t < c->k; t++) {
        mtf_real *x = reduced_x(c, kind, t);
        *x = kind == CONSTANT         ? (mtf_real)-0.37
             : kind == ZEROS          ? 0
             : kind == NEGATIVE_ZEROS ? -0.0F
             : kind == POSITIVE       ? *x + 3
             : kind == NEGATIVE       ? *x - 3
             : kind == FAR            ? 1000 + *x * 0x1p-10F
             : kind == DENORMAL       ? *x * 0x1p-140F
             : kind == SMALL          ? *x * 0x1p-118F
             : kind == VERY_LARGE     ? *x * 0x1p+127F
             : kind == TIES           ? (mtf_real)(t % 511) / 2
             : kind == GELU_LIKE      ? fmaxf(*x, -0.17F)
                                      : *x;
    }
    if (kind == OUTLIER) {
        *reduced_x(c, kind, c->k / 2) = 1e4F;
    } else if (kind == VERY_LARGE) {
        *reduced_x(c, kind, 0) = 3e38F;
        *reduced_x(c, kind, c->k - 1) = -3e38F;
    } else if (kind >= WITH_NAN) {
        *reduced_x(c, kind, c->k * 3 / 4) = odd[kind - WITH_NAN];
    }
}

/* What the row and the weights lose when they become bytes, and a few roundings of the rest. */
static double tolerance_of(const reduced_case *c, const reduced_panels *p, int64_t i, int64_t j)
{
    double low = INFINITY, high = -INFINITY, sum_x = 0, sum_w = 0;
    for (int64_t t = 0; t < c->k; t++) {
        const double x = (double)*reduced_x(c, i, t);
        low = fmin(low, x);
        high = fmax(high, x);
        sum_x += fabs(x);
        sum_w += fabs((double)weight_of(c, p, j, t)) * (double)p->scale[j];
    }
    return 0.501 * (sum_w * (high - low) / 255 + sum_x * (double)p->scale[j]) +
           4 * UNIT_ROUNDOFF * sum_w * fmax(high, -low) + 8 * (double)MTF_INT8_LEAST * sum_w;
}

/* Rows of all kinds: the bits of the definition, and as near to the exact product as bytes can be
 * from the least to the largest value of the row. */
MTF_TEST(rows_of_every_kind_follow_the_definition)
{
    enum { N = 37 };
    static const int64_t terms[] = {1, 2, 3, 4, 5, 7, 16, 17, 33, 70, 260};
    mtf_kernels table;
    CHECK(mtf_kernels_fill(&table, "ref"));
    for (size_t s = 0; s < 2 * (sizeof terms / sizeof *terms); s++) {
        const reduced_case c = reduced_new(N_KINDS, N, terms[s / 2], (int)(s % 2));
        for (size_t i = 0; i < c.w.n; i++) {
            c.w.data[i] *= 0x1p-12F; /* products with huge rows stay finite */
        }
        for (int kind = 0; kind < N_KINDS; kind++) {
            make_kind(&c, kind);
        }
        check_definition(&c);
        const reduced_panels p = pack_int8(&table, &c);
        buffer y = buffer_new(c.m * c.ldy, 0);
        run_int8(&table, &c, &p, y, 0, c.m, &PLAIN);
        for (int64_t i = 0; i < c.m; i++) {
            for (int64_t j = 0; j < N; j++) {
                const double got = (double)y.data[i * c.ldy + j];
                double want = 0;
                for (int64_t t = 0; t < c.k; t++) {
                    want += (double)*reduced_x(&c, i, t) * (double)c.w.data[j * c.ldw + t];
                }
                if (i >= WITH_NAN) {
                    CHECK(isnan(got));
                } else {
                    CHECK_CLOSE(got, want, tolerance_of(&c, &p, i, j));
                }
            }
        }
        buffer_free(y);
        panels_free(p);
        reduced_free(c);
    }
}

/* As many terms as sums may have, bytes and weights at their largest: beyond what float holds, and
 * just within int32. */
MTF_TEST(largest_sums_are_exact)
{
    enum { M = 2, N = 3, K = MTF_INT8_MOST_TERMS };
    for (int signs = 0; signs < 4; signs++) {
        const reduced_case c = reduced_new(M, N, K, 0);
        for (size_t i = 0; i < c.x.n; i++) {
            c.x.data[i] = signs & 1 ? -1.0F : 1.0F;
        }
        for (size_t i = 0; i < c.w.n; i++) {
            c.w.data[i] = signs & 2 ? -1.0F : 1.0F;
        }
        *reduced_x(&c, 0, 5) = 0; /* the others are 255, or all but this one 0 */
        *reduced_x(&c, 1, 6) = signs & 1 ? -2.0F : -1.0F;
        check_definition(&c);
        reduced_free(c);
    }
}

MTF_TEST(odd_rows_have_the_bits_of_the_reference)
{
    enum { M = 19, N = 45, K = 70 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        for (int turned = 0; turned < 2; turned++) {
            const reduced_case c = reduced_new(M, N, K, turned);
            for (int64_t p = 0; p < K; p++) {
                *reduced_x(&c, 1, p) = 0;
                *reduced_x(&c, 2, p) *= 0x1p-140F; /* denormal: the range is below MTF_INT8_LEAST */
                *reduced_x(&c, 3, p) *= 0x1p-118F; /* around it */
                *reduced_x(&c, 4, p) *= 0x1p+90F;
                *reduced_x(&c, 5, p) = -0.0F;
                *reduced_x(&c, 6, p) = 127.0F - 0.5F * (mtf_real)p; /* ties */
                c.w.data[9 * c.ldw + p] = 0;
                c.w.data[10 * c.ldw + p] *= 0x1p27F; /* shows what is left of row 2 */
            }
            *reduced_x(&c, 7, 69) = (mtf_real)NAN;
            *reduced_x(&c, 8, 0) = (mtf_real)-INFINITY;
            c.w.data[11 * c.ldw + 3] = (mtf_real)INFINITY;
            check_bits(&tables[0], &tables[l], &c, 0, 1, 1);
            check_bits(&tables[0], &tables[l], &c, 1, 0, 0);
            const reduced_panels p = pack_int8(&tables[l], &c);
            buffer y = buffer_new(M * c.ldy, 0);
            run_int8(&tables[l], &c, &p, y, 0, M, &PLAIN);
            for (int64_t i = 0; i < M; i++) {
                for (int64_t j = 0; j < N; j++) {
                    const mtf_real got = y.data[i * c.ldy + j];
                    CHECK(isnan(got) == (i == 7 || i == 8 || j == 11));
                    CHECK(got == 0 || isnan(got) || (j != 9 && i != 1 && i != 5));
                }
            }
            buffer_free(y);
            panels_free(p);
            reduced_free(c);
        }
    }
}

MTF_TEST(a_row_keeps_its_bits_among_any_number)
{
    enum { MOST = 130, N = 70, K = 75 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_case c = reduced_new(MOST, N, K, 0);
    const mtf_epilogue e = {c.bias.data, NULL, MTF_ACT_GELU, 0};
    buffer all = buffer_new(MOST * c.ldy, 0);
    buffer some = buffer_new(MOST * c.ldy, 1);
    for (int l = 0; l < n_levels; l++) {
        const reduced_panels p = pack_int8(&tables[l], &c);
        run_int8(&tables[l], &c, &p, all, 0, MOST, &e);
        for (int64_t m = 1; m < MOST; m += m < 45 ? 1 : 7) {
            const int64_t first = MOST - m;
            run_int8(&tables[l], &c, &p, some, first, m, &e);
            for (int64_t i = 0; i < m; i++) {
                CHECK_BITS(some.data + i * c.ldy, all.data + (first + i) * c.ldy,
                           N * sizeof *all.data);
            }
        }
        panels_free(p);
    }
    buffer_free(all), buffer_free(some);
    reduced_free(c);
}

/* Activations: what bias_act_fwd of the reference makes of the same sums. */
MTF_TEST(activations_match_the_row_functions)
{
    enum { M = 31, N = 77, K = 50 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_case c = reduced_new(M, N, K, 0);
    buffer want = buffer_new(M * c.ldy, 0);
    buffer y = buffer_new(M * c.ldy, 1);
    buffer pre = buffer_new(M * c.ldy, 2);
    const reduced_panels p = pack_int8(&tables[0], &c);
    for (int l = 0; l < n_levels; l++) {
        for (int a = MTF_ACT_GELU; a < MTF_N_ACTIVATIONS; a++) {
            const mtf_epilogue e = {c.bias.data, pre.data, (mtf_activation)a, 0};
            run_int8(&tables[0], &c, &p, want, 0, M, &e);
            run_int8(&tables[l], &c, &p, y, 0, M, &e);
            for (int64_t i = 0; i < M; i++) {
                for (int64_t j = 0; j < N; j++) {
                    CHECK_CLOSE(y.data[i * c.ldy + j], want.data[i * c.ldy + j],
                                TOLERANCE_ACTIVATION(pre.data[i * c.ldy + j]));
                }
            }
        }
    }
    panels_free(p);
    buffer_free(want), buffer_free(y), buffer_free(pre);
    reduced_free(c);
}

/* Panels, scales and sums of every level, from both orientations, panel by panel. */
MTF_TEST(panels_are_the_same_at_every_level)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int s = 0; s < N_TEST_SIZES; s++) {
        for (int t = 0; t < N_TEST_SIZES; t += 1 + s % 2) {
            const int64_t n = test_sizes[s] < 100 ? test_sizes[s] : 130;
            const reduced_case c = reduced_new(1, n, test_sizes[t], 0);
            const int64_t k = c.k;
            c.w.data[test_integer(0, (int64_t)c.w.n - 1)] = s % 4 == 3 ? (mtf_real)NAN : 100;
            for (int64_t p = 0; p < k; p++) {
                c.w.data[n / 2 * c.ldw + p] = t % 3 == 0 ? 0 : 127.0F - 0.5F * (mtf_real)p;
            }
            buffer turned = buffer_new((k - 1) * (n + 2) + n, 1);
            for (int64_t i = 0; i < n * k; i++) {
                turned.data[i % k * (n + 2) + i / k] = c.w.data[i / k * c.ldw + i % k];
            }
            const reduced_panels want = pack_int8(&tables[0], &c);
            const int64_t padded = panels_of(n) * MTF_PANEL;
            for (int l = 1; l < n_levels; l++) {
                reduced_panels got = pack_int8(&tables[l], &c);
                for (int orientation = 0; orientation < 2; orientation++) {
                    CHECK_BITS(got.values.data, want.values.data, want.values.n * sizeof(float));
                    CHECK_BITS(got.sums, want.sums, (size_t)padded * sizeof *want.sums);
                    for (int64_t j = 0; j < padded; j++) {
                        CHECK(got.scale[j] == want.scale[j] ||
                              (isnan(got.scale[j]) && isnan(want.scale[j])));
                    }
                    for (int64_t q = panels_of(n); q-- > 0;) {
                        tables[l].pack_int8((int8_t *)got.values.data, got.scale, got.sums,
                                            turned.data, n + 2, 1, n, k, q, q + 1);
                    }
                }
                panels_free(got);
            }
            panels_free(want);
            buffer_free(turned);
            reduced_free(c);
        }
    }
}
