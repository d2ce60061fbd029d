/* Products with bf16 panels at every level against the reference: shapes, layouts, bits of a row,
 * epilogues, rounding, denormals, NaN, infinity, guards.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reduced_case.h"

#include "base/bf16.h"

static const mtf_epilogue PLAIN = {NULL, NULL, MTF_ACT_NONE, 0};

static void check_product(const mtf_kernels *ref, const mtf_kernels *level, int64_t m, int64_t n,
                          int64_t k, int turned, int add)
{
    const reduced_case c = reduced_new(m, n, k, turned);
    const reduced_panels p = pack_bf16(ref, &c);
    buffer y = buffer_random((m - 1) * c.ldy + n, 1, -1.0, 1.0);
    buffer want = buffer_copy(y, 2);
    buffer before = buffer_copy(y, 0);
    const mtf_epilogue e = {NULL, NULL, MTF_ACT_NONE, add};
    run_bf16(ref, &c, &p, want, 0, m, &e);
    run_bf16(level, &c, &p, y, 0, m, &e);
    for (int64_t i = 0; i < m; i++) {
        check_close_all(y.data + i * c.ldy, want.data + i * c.ldy, n, TOLERANCE_BF16(k), "row");
    }
    check_between_rows(&c, y, before);
    buffer_free(y), buffer_free(want), buffer_free(before);
    panels_free(p);
    reduced_free(c);
}

MTF_TEST(products_of_many_shapes)
{
    static const int64_t columns[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 65, 97};
    static const int64_t terms[] = {1, 2, 3, 4, 5, 8, 15, 31, 32, 33, 64, 131};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        for (int64_t m = 1; m <= 45; m += m < 31 ? 1 : 4) {
            for (int j = 0; j < 12; j++) {
                const int64_t k = terms[(m + 5 * j) % 12];
                check_product(&tables[0], &tables[l], m, columns[j], k, (int)(m + j / 2) % 2,
                              j % 2);
            }
        }
    }
}

/* Sums longer than the blocks of k, more rows than work holds, real shapes. */
MTF_TEST(products_beyond_the_blocks)
{
    static const int64_t shapes[][3] = {
        {130, 70, 37}, {30, 33, 1100}, {5, 96, 2049}, {409, 5, 600}, {29, 384, 384}, {23, 64, 4096},
    };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (int variant = 0; variant < 4; variant++) {
                check_product(&tables[0], &tables[l], shapes[s][0], shapes[s][1], shapes[s][2],
                              variant & 1, variant >> 1);
            }
        }
    }
}

/* Both orientations of a weight, whole or panel by panel, with all kinds of values. */
MTF_TEST(panels_are_the_same_at_every_level)
{
    static const uint32_t kinds[] = {0x3F808000, 0x3F818000, 0x00000001, 0x80012345, 0x7F800000,
                                     0xFF800000, 0x7F800001, 0x7FC01234, 0x7F7FFFFF, 0x80000000};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int s = 0; s < N_TEST_SIZES; s++) {
        for (int t = 0; t < N_TEST_SIZES; t += 1 + s % 2) {
            const int64_t n = test_sizes[s] < 100 ? test_sizes[s] : 290;
            const reduced_case c = reduced_new(1, n, test_sizes[t], 0);
            const int64_t k = c.k;
            for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                memcpy(c.w.data + test_integer(0, (int64_t)c.w.n - 1), kinds + i, sizeof *kinds);
            }
            buffer turned = buffer_new((k - 1) * (n + 2) + n, 1);
            for (int64_t i = 0; i < n * k; i++) {
                turned.data[i % k * (n + 2) + i / k] = c.w.data[i / k * c.ldw + i % k];
            }
            const reduced_panels want = pack_bf16(&tables[0], &c);
            const size_t bytes = want.values.n * sizeof(float);
            for (int l = 0; l < n_levels; l++) {
                const reduced_panels rows = pack_bf16(&tables[l], &c);
                CHECK_BITS(rows.values.data, want.values.data, bytes);
                buffer other = buffer_new((int64_t)want.values.n, 3);
                uint16_t *halves = (uint16_t *)other.data;
                tables[l].pack_bf16(halves, turned.data, n + 2, 1, n, k, 0, panels_of(n));
                CHECK_BITS(other.data, want.values.data, bytes);
                memset(other.data, 0xFF, bytes);
                for (int64_t q = panels_of(n); q-- > 0;) {
                    tables[l].pack_bf16(halves, turned.data, n + 2, 1, n, k, q, q + 1);
                }
                CHECK_BITS(other.data, want.values.data, bytes);
                panels_free(rows);
                buffer_free(other);
            }
            panels_free(want);
            buffer_free(turned);
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
    reduced_case turned = reduced_new(MOST, N, K, 1);
    for (int64_t i = 0; i < MOST * K; i++) {
        *reduced_x(&turned, i / K, i % K) = *reduced_x(&c, i / K, i % K);
    }
    buffer all = buffer_new(MOST * c.ldy, 0);
    buffer some = buffer_new(MOST * c.ldy, 1);
    for (int l = 0; l < n_levels; l++) {
        const reduced_panels p = pack_bf16(&tables[l], &c);
        run_bf16(&tables[l], &c, &p, all, 0, MOST, &PLAIN);
        for (int64_t m = 1; m < MOST; m += m < 45 ? 1 : 7) {
            const int64_t first = MOST - m; /* another place among other neighbours */
            for (int t = 0; t < 2; t++) {
                run_bf16(&tables[l], t ? &turned : &c, &p, some, first, m, &PLAIN);
                for (int64_t i = 0; i < m; i++) {
                    CHECK_BITS(some.data + i * c.ldy, all.data + (first + i) * c.ldy,
                               N * sizeof *all.data);
                }
            }
        }
        panels_free(p);
    }
    buffer_free(all), buffer_free(some);
    reduced_free(c);
    reduced_free(turned);
}

/* A sum cut at an even p and added on has the bits of the whole: the chain goes on from y. */
MTF_TEST(adding_continues_the_sum)
{
    enum { M = 17, N = 40, K = 90, CUT = 32 };
    const mtf_epilogue more = {NULL, NULL, MTF_ACT_NONE, 1};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_case c = reduced_new(M, N, K, 0);
    reduced_case head = c;
    reduced_case tail = c;
    head.k = CUT;
    tail.k = K - CUT;
    tail.x.data += CUT;
    tail.w.data += CUT;
    buffer whole = buffer_new(M * c.ldy, 0);
    buffer parts = buffer_new(M * c.ldy, 0);
    for (int l = 0; l < n_levels; l++) {
        const reduced_panels p = pack_bf16(&tables[l], &c);
        const reduced_panels p_head = pack_bf16(&tables[l], &head);
        const reduced_panels p_tail = pack_bf16(&tables[l], &tail);
        run_bf16(&tables[l], &c, &p, whole, 0, M, &PLAIN);
        run_bf16(&tables[l], &head, &p_head, parts, 0, M, &PLAIN);
        run_bf16(&tables[l], &tail, &p_tail, parts, 0, M, &more);
        for (int64_t i = 0; i < M; i++) {
            CHECK_BITS(parts.data + i * c.ldy, whole.data + i * c.ldy, N * sizeof *whole.data);
        }
        panels_free(p), panels_free(p_head), panels_free(p_tail);
    }
    buffer_free(whole), buffer_free(parts);
    reduced_free(c);
}

/* Bias and activation in the product: what bias_act_fwd of the reference makes of the same sums. */
MTF_TEST(epilogues_match_the_row_functions)
{
    enum { M = 31, N = 77, K = 50 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_case c = reduced_new(M, N, K, 0);
    buffer sums = buffer_new(M * c.ldy, 0);
    buffer y = buffer_new(M * c.ldy, 1);
    buffer pre = buffer_new(M * c.ldy, 5);
    for (int l = 0; l < n_levels; l++) {
        const reduced_panels p = pack_bf16(&tables[l], &c);
        run_bf16(&tables[l], &c, &p, sums, 0, M, &PLAIN);
        for (int variant = 0; variant < 4 * MTF_N_ACTIVATIONS; variant++) {
            const mtf_activation act = (mtf_activation)(variant / 4);
            const mtf_epilogue e = {variant & 1 ? c.bias.data : NULL, variant & 2 ? pre.data : NULL,
                                    act, 0};
            run_bf16(&tables[l], &c, &p, y, 0, M, &e);
            for (int64_t i = 0; i < M; i++) {
                mtf_real want[N];
                mtf_real before[N];
                memcpy(want, sums.data + i * c.ldy, sizeof want);
                tables[0].bias_act_fwd(want, before, e.bias, 1, N, act);
                for (int64_t j = 0; j < N; j++) {
                    CHECK_CLOSE(y.data[i * c.ldy + j], want[j],
                                act == MTF_ACT_NONE ? 0 : TOLERANCE_ACTIVATION(before[j]));
                }
                if (e.pre != NULL) {
                    CHECK_BITS(pre.data + i * c.ldy, before, sizeof before);
                }
            }
        }
        panels_free(p);
    }
    buffer_free(sums), buffer_free(y), buffer_free(pre);
    reduced_free(c);
}

/* One term and weights of 1: y is x as rounded. Denormals may be zero. */
MTF_TEST(x_is_rounded_to_nearest_even)
{
    enum { M = 64, N = 33 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int turned = 0; turned < 2; turned++) {
        reduced_case c = reduced_new(M, N, 1, turned);
        for (int64_t j = 0; j < N; j++) {
            c.w.data[j * c.ldw] = 1;
        }
        for (int64_t i = 0; i < M; i++) {
            const uint32_t bits = UINT32_C(0x3F800000) + (uint32_t)i * 0x4000 + (i % 3 == 0);
            const uint32_t denormal = (uint32_t)(test_random() & 0x7FFFFF);
            memcpy(reduced_x(&c, i, 0), i < 60 ? &bits : &denormal, sizeof bits);
        }
        buffer y = buffer_new(M * c.ldy, 0);
        for (int l = 0; l < n_levels; l++) {
            const reduced_panels p = pack_bf16(&tables[l], &c);
            run_bf16(&tables[l], &c, &p, y, 0, M, &PLAIN);
            for (int64_t i = 0; i < M; i++) {
                const float want = mtf_bf16_value(mtf_bf16_round(*reduced_x(&c, i, 0)));
                for (int64_t j = 0; j < N; j++) {
                    const float got = y.data[i * c.ldy + j];
                    CHECK(got == want || (i >= 60 && got == 0));
                }
            }
            panels_free(p);
        }
        buffer_free(y);
        reduced_free(c);
    }
}

/* Products that are denormal as floats: lost at most, never wrong by more. */
MTF_TEST(denormals_count_as_zero_at_most)
{
    enum { M = 15, N = 33, K = 40 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const reduced_case c = reduced_new(M, N, K, 0);
    for (size_t i = 0; i < c.x.n; i++) {
        c.x.data[i] *= 0x1p-70F;
    }
    for (size_t i = 0; i < c.w.n; i++) {
        c.w.data[i] *= 0x1p-58F;
    }
    buffer y = buffer_new(M * c.ldy, 0);
    buffer want = buffer_new(M * c.ldy, 0);
    const reduced_panels p = pack_bf16(&tables[0], &c);
    run_bf16(&tables[0], &c, &p, want, 0, M, &PLAIN);
    for (int l = 1; l < n_levels; l++) {
        run_bf16(&tables[l], &c, &p, y, 0, M, &PLAIN);
        for (int64_t i = 0; i < M * c.ldy; i++) {
            if (i % c.ldy < N) {
                CHECK_CLOSE(y.data[i], want.data[i], K * 0x1p-126);
            }
        }
    }
    panels_free(p);
    buffer_free(y), buffer_free(want);
    reduced_free(c);
}

MTF_TEST(not_a_number_and_infinity_stay_in_their_row)
{
    enum { M = 29, N = 37, K = 19 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int variant = 0; variant < 2 * n_levels; variant++) {
        const mtf_kernels *table = &tables[variant / 2];
        const reduced_case c = reduced_new(M, N, K, variant % 2);
        for (size_t i = 0; i < c.w.n; i++) {
            c.w.data[i] = (mtf_real)test_uniform(0.5, 1.0);
        }
        const uint32_t all_ones = 0x7FFFFFFF; /* a NaN that rounding must not carry over */
        memcpy(reduced_x(&c, 3, 18), &all_ones, sizeof all_ones);
        *reduced_x(&c, 20, 2) = (mtf_real)INFINITY;
        *reduced_x(&c, 7, 4) = -3.4e38F; /* rounds to infinity */
        *reduced_x(&c, 8, 5) = 3.0e38F;  /* stays, the sum overflows */
        *reduced_x(&c, 8, 6) = 3.0e38F;
        *reduced_x(&c, 8, 7) = 3.0e38F;
        buffer y = buffer_new(M * c.ldy, 1);
        const reduced_panels p = pack_bf16(table, &c);
        run_bf16(table, &c, &p, y, 0, M, &PLAIN);
        for (int64_t i = 0; i < M; i++) {
            for (int64_t j = 0; j < N; j++) {
                const mtf_real got = y.data[i * c.ldy + j];
                CHECK(isnan(got) == (i == 3));
                CHECK((isinf(got) && got > 0) == (i == 20 || i == 8));
                CHECK((isinf(got) && got < 0) == (i == 7));
            }
        }
        panels_free(p);
        buffer_free(y);
        reduced_free(c);
    }
}
