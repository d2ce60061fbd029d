/* Products with packed weights, every level: values against double, layouts of panels, bits of a row
 * alone and among others, epilogues, strides, guards, NaN. bf16 and int8 here: the reference only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

#include "base/bf16.h"

static const mtf_epilogue PLAIN = {NULL, NULL, MTF_ACT_NONE, 0};

static int64_t panels_of(int64_t n)
{
    return (n + MTF_PANEL - 1) / MTF_PANEL;
}

/* Panels of w (N,K), or (K,N) with transposed, by this level; every guard is checked at the end. */
static buffer pack(const mtf_kernels *table, buffer w, int64_t ldw, int transposed, int64_t n,
                   int64_t k)
{
    buffer panels = buffer_new(panels_of(n) * MTF_PANEL * k, 3);
    table->pack_f32(panels.data, w.data, ldw, transposed, n, k, 0, panels_of(n));
    return panels;
}

/* x (M,K) . w (N,K)^T in double, on top of what want holds. */
static void naive(double *want, buffer x, int64_t xi, int64_t xp, buffer w, int64_t ldw, int64_t m,
                  int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            for (int64_t p = 0; p < k; p++) {
                want[i * n + j] += (double)x.data[i * xi + p * xp] * (double)w.data[j * ldw + p];
            }
        }
    }
}

/* One product by one level against double: `flat` rows of x, else x is transposed. */
static void check_product(const mtf_kernels *table, int64_t m, int64_t n, int64_t k, int flat,
                          int add)
{
    const int64_t ldy = n + 3;
    const int64_t xi = flat ? k + 2 : 1;
    const int64_t xp = flat ? 1 : m + 1;
    buffer x = buffer_random(flat ? m * xi : k * xp, 1, -1.0, 1.0);
    buffer w = buffer_random(n * (k + 1), 2, -1.0, 1.0);
    buffer y = buffer_random(m * ldy, 5, -1.0, 1.0);
    buffer before = buffer_copy(y, 0);
    buffer work = buffer_new((int64_t)mtf_packed_work(k), 1);
    buffer panels = pack(table, w, k + 1, 0, n, k);
    double *want = mtf_alloc_array((size_t)(m * n), sizeof *want);
    for (int64_t i = 0; i < m * n; i++) {
        want[i] = add ? (double)before.data[i / n * ldy + i % n] : 0;
    }
    naive(want, x, xi, xp, w, k + 1, m, n, k);
    const mtf_epilogue e = {NULL, NULL, MTF_ACT_NONE, add};
    table->packed_f32(y.data, ldy, x.data, xi, xp, panels.data, m, n, k, &e, work.data);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            CHECK_CLOSE(y.data[i * ldy + j], want[i * n + j], TOLERANCE_GEMM(k));
        }
        /* what lies between the rows is not touched */
        CHECK_BITS(y.data + i * ldy + n, before.data + i * ldy + n, 3 * sizeof *y.data);
    }
    mtf_free(want);
    buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(before), buffer_free(work);
    buffer_free(panels);
}

MTF_TEST(products_of_many_shapes)
{
    static const int64_t columns[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 65, 97};
    static const int64_t terms[] = {1, 2, 3, 8, 17, 64, 131};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int64_t m = 1; m <= 40; m += m < 17 ? 1 : 4) {
            for (size_t j = 0; j < sizeof columns / sizeof *columns; j++) {
                const size_t p = ((size_t)m + j) % (sizeof terms / sizeof *terms);
                check_product(&tables[l], m, columns[j], terms[p], (int)(((size_t)m + j / 2) % 2),
                              (int)(j % 2));
            }
        }
    }
}

/* Long sums, which kernels cut into blocks, and more rows than they hold at a time. */
MTF_TEST(products_beyond_the_blocks)
{
    static const int64_t shapes[][3] = {
        {100, 70, 37}, {30, 33, 1100}, {5, 96, 2049}, {259, 5, 600}};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (int variant = 0; variant < 4; variant++) {
                check_product(&tables[l], shapes[s][0], shapes[s][1], shapes[s][2], variant & 1,
                              variant >> 1);
            }
        }
    }
}

/* Every level packs the same bits, whole or panel by panel, from either orientation. */
MTF_TEST(panels_are_the_same_at_every_level)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int s = 0; s < N_TEST_SIZES; s++) {
        for (int t = 0; t < N_TEST_SIZES; t += 1 + s % 2) {
            const int64_t n = test_sizes[s] < 100 ? test_sizes[s] : 130;
            const int64_t k = test_sizes[t];
            buffer w = buffer_random(n * (k + 1), 1, -1.0, 1.0);
            buffer turned = buffer_new(k * (n + 2), 2);
            buffer want = buffer_new(panels_of(n) * MTF_PANEL * k, 0);
            for (int64_t i = 0; i < panels_of(n) * k * MTF_PANEL; i++) {
                const int64_t j = i / (k * MTF_PANEL) * MTF_PANEL + i % MTF_PANEL;
                const int64_t p = i / MTF_PANEL % k;
                want.data[i] = j < n ? w.data[j * (k + 1) + p] : 0;
                if (j < n) {
                    turned.data[p * (n + 2) + j] = want.data[i];
                }
            }
            for (int l = 0; l < n_levels; l++) {
                buffer rows = pack(&tables[l], w, k + 1, 0, n, k);
                CHECK_BITS(rows.data, want.data, want.n * sizeof *want.data);
                buffer columns = pack(&tables[l], turned, n + 2, 1, n, k);
                CHECK_BITS(columns.data, want.data, want.n * sizeof *want.data);
                buffer parts = buffer_new((int64_t)want.n, 5);
                for (int64_t panel = panels_of(n); panel-- > 0;) {
                    tables[l].pack_f32(parts.data, w.data, k + 1, 0, n, k, panel, panel + 1);
                }
                CHECK_BITS(parts.data, want.data, want.n * sizeof *want.data);
                buffer_free(rows), buffer_free(columns), buffer_free(parts);
            }
            buffer_free(w), buffer_free(turned), buffer_free(want);
        }
    }
}

MTF_TEST(a_row_keeps_its_bits_among_any_number)
{
    enum { MOST = 130, N = 70, K = 75 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    buffer x = buffer_random(MOST * K, 1, -1.0, 1.0);
    buffer turned = buffer_new(K * MOST, 0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer all = buffer_new(MOST * N, 0);
    buffer some = buffer_new(MOST * N, 0);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    for (int64_t i = 0; i < MOST * K; i++) {
        turned.data[i % K * MOST + i / K] = x.data[i];
    }
    for (int l = 0; l < n_levels; l++) {
        buffer panels = pack(&tables[l], w, K, 0, N, K);
        tables[l].packed_f32(all.data, N, x.data, K, 1, panels.data, MOST, N, K, &PLAIN, work.data);
        for (int64_t m = 1; m < MOST; m += m < 45 ? 1 : 7) {
            const int64_t first = MOST - m; /* another place among other neighbours */
            tables[l].packed_f32(some.data, N, x.data + first * K, K, 1, panels.data, m, N, K,
                                 &PLAIN, work.data);
            CHECK_BITS(some.data, all.data + first * N, (size_t)(m * N) * sizeof *all.data);
            tables[l].packed_f32(some.data, N, turned.data + first, 1, MOST, panels.data, m, N, K,
                                 &PLAIN, work.data);
            CHECK_BITS(some.data, all.data + first * N, (size_t)(m * N) * sizeof *all.data);
        }
        /* the second panel alone */
        tables[l].packed_f32(some.data, N, x.data, K, 1, panels.data + MTF_PANEL * K, MOST,
                             N - MTF_PANEL, K, &PLAIN, work.data);
        for (int64_t i = 0; i < MOST; i++) {
            CHECK_BITS(some.data + i * N, all.data + i * N + MTF_PANEL,
                       (N - MTF_PANEL) * sizeof *all.data);
        }
        buffer_free(panels);
    }
    buffer_free(x), buffer_free(turned), buffer_free(w), buffer_free(all), buffer_free(some);
    buffer_free(work);
}

/* A sum cut in two between chains and added on has the bits of the whole. */
MTF_TEST(adding_continues_the_sum)
{
    enum { M = 17, N = 40, K = 700, CUT = 2 * MTF_CHAIN };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    buffer x = buffer_random(M * K, 0, -1.0, 1.0);
    buffer w = buffer_random(K * N, 0, -1.0, 1.0); /* (K,N) */
    buffer whole = buffer_new(M * N, 0);
    buffer parts = buffer_new(M * N, 0);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    const mtf_epilogue more = {NULL, NULL, MTF_ACT_NONE, 1};
    for (int l = 0; l < n_levels; l++) {
        const mtf_kernels *table = &tables[l];
        buffer panels = pack(table, w, N, 1, N, K);
        table->packed_f32(whole.data, N, x.data, K, 1, panels.data, M, N, K, &PLAIN, work.data);
        table->pack_f32(panels.data, w.data, N, 1, N, CUT, 0, panels_of(N));
        table->packed_f32(parts.data, N, x.data, K, 1, panels.data, M, N, CUT, &PLAIN, work.data);
        table->pack_f32(panels.data, w.data + CUT * N, N, 1, N, K - CUT, 0, panels_of(N));
        table->packed_f32(parts.data, N, x.data + CUT, K, 1, panels.data, M, N, K - CUT, &more,
                          work.data);
        CHECK_BITS(parts.data, whole.data, whole.n * sizeof *whole.data);
        buffer_free(panels);
    }
    buffer_free(x), buffer_free(w), buffer_free(whole), buffer_free(parts), buffer_free(work);
}

/* The same chains of fused multiply-adds, whatever the width of the registers. */
MTF_TEST(levels_above_the_reference_have_the_same_bits)
{
    enum { M = 37, N = 90, K = 1500 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    if (n_levels < 3) {
        SKIP("fewer than two levels above the reference");
    }
    buffer x = buffer_random(M * K, 1, -1.0, 1.0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer want = buffer_new(M * N, 0);
    buffer y = buffer_new(M * N, 0);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    buffer panels = pack(&tables[1], w, K, 0, N, K);
    tables[1].packed_f32(want.data, N, x.data, K, 1, panels.data, M, N, K, &PLAIN, work.data);
    for (int l = 2; l < n_levels; l++) {
        tables[l].packed_f32(y.data, N, x.data, K, 1, panels.data, M, N, K, &PLAIN, work.data);
        CHECK_BITS(y.data, want.data, y.n * sizeof *y.data);
    }
    buffer_free(x), buffer_free(w), buffer_free(want), buffer_free(y), buffer_free(work);
    buffer_free(panels);
}

/* Bias and activation in the product: what bias_act_fwd of the reference makes of the same sums. */
MTF_TEST(epilogues_match_the_row_functions)
{
    enum { M = 31, N = 77, K = 50, LDY = N + 3 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    buffer x = buffer_random(M * K, 1, -1.0, 1.0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer bias = buffer_random(N, 1, -2.0, 2.0);
    buffer y = buffer_random(M * LDY, 1, -1.0, 1.0);
    buffer pre = buffer_random(M * LDY, 5, -1.0, 1.0);
    buffer sums = buffer_new(M * N, 0);
    buffer want = buffer_new(M * N, 0);
    buffer want_pre = buffer_new(M * N, 0);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    for (int l = 0; l < n_levels; l++) {
        buffer panels = pack(&tables[l], w, K, 0, N, K);
        tables[l].packed_f32(sums.data, N, x.data, K, 1, panels.data, M, N, K, &PLAIN, work.data);
        for (int variant = 0; variant < 4 * MTF_N_ACTIVATIONS; variant++) {
            const mtf_activation act = (mtf_activation)(variant / 4);
            const mtf_epilogue e = {variant & 1 ? bias.data : NULL, variant & 2 ? pre.data : NULL,
                                    act, 0};
            memcpy(want.data, sums.data, sums.n * sizeof *sums.data);
            tables[0].bias_act_fwd(want.data, want_pre.data, e.bias, M, N, act);
            tables[l].packed_f32(y.data, LDY, x.data, K, 1, panels.data, M, N, K, &e, work.data);
            for (int64_t i = 0; i < M; i++) {
                for (int64_t j = 0; j < N; j++) {
                    const double before = (double)want_pre.data[i * N + j];
                    CHECK_CLOSE(y.data[i * LDY + j], want.data[i * N + j],
                                act == MTF_ACT_NONE ? 0 : TOLERANCE_ACTIVATION(before));
                    if (e.pre != NULL) {
                        CHECK_BITS(pre.data + i * LDY + j, want_pre.data + i * N + j,
                                   sizeof *y.data);
                    }
                }
            }
        }
        buffer_free(panels);
    }
    buffer_free(x), buffer_free(w), buffer_free(bias), buffer_free(y), buffer_free(pre);
    buffer_free(sums), buffer_free(want), buffer_free(want_pre), buffer_free(work);
}

MTF_TEST(not_a_number_and_infinity_stay_in_their_row)
{
    enum { M = 29, N = 37, K = 19 };
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        buffer x = buffer_random(M * K, 1, -1.0, 1.0);
        buffer w = buffer_random(N * K, 1, 0.5, 1.0);
        buffer y = buffer_new(M * N, 1);
        buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
        buffer panels = pack(&tables[l], w, K, 0, N, K);
        x.data[3 * K + 18] = (mtf_real)NAN;
        x.data[20 * K + 2] = (mtf_real)INFINITY;
        tables[l].packed_f32(y.data, N, x.data, K, 1, panels.data, M, N, K, &PLAIN, work.data);
        for (int i = 0; i < M * N; i++) {
            CHECK(!isnan(y.data[i]) == (i / N != 3));
            CHECK((isinf(y.data[i]) && y.data[i] > 0) == (i / N == 20));
        }
        buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(work), buffer_free(panels);
    }
}

/* The reference's bf16 product is the product of rounded operands. */
MTF_TEST(bf16_reference_multiplies_rounded_values)
{
    enum { M = 6, N = 35, K = 21, EVEN = 22 };
    static uint16_t panels[2 * EVEN * MTF_PANEL];
    mtf_kernels table;
    CHECK(mtf_kernels_fill(&table, "ref"));
    buffer x = buffer_random(M * K, 1, -1.0, 1.0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer y = buffer_new(M * N, 1);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    table.pack_bf16(panels, w.data, K, 0, N, K, 0, 2);
    table.packed_bf16(y.data, N, x.data, K, 1, panels, M, N, K, &PLAIN, work.data);
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++) {
            double want = 0;
            for (int64_t p = 0; p < K; p++) {
                const uint16_t half = mtf_bf16_round((float)w.data[j * K + p]);
                const int64_t at = j / MTF_PANEL * EVEN * MTF_PANEL + p / 2 * 2 * MTF_PANEL;
                CHECK(panels[at + j % MTF_PANEL * 2 + p % 2] == half);
                want += (double)mtf_bf16_value(mtf_bf16_round((float)x.data[i * K + p])) *
                        (double)mtf_bf16_value(half);
            }
            CHECK_CLOSE(y.data[i * N + j], want, TOLERANCE_GEMM(K));
        }
    }
    buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(work);
}

MTF_TEST(bf16_rounds_to_nearest_even)
{
    CHECK(mtf_bf16_round(1.0F) == 0x3F80);
    CHECK(mtf_bf16_round(0x1.01p0F) == 0x3F80); /* half way to the odd neighbour */
    CHECK(mtf_bf16_round(0x1.03p0F) == 0x3F82); /* half way from it */
    CHECK(mtf_bf16_round(-0x1.0102p0F) == 0xBF81);
    CHECK(mtf_bf16_round(3.4e38F) == 0x7F80); /* infinity */
    CHECK(isnan(mtf_bf16_value(mtf_bf16_round((float)NAN))));
    CHECK(mtf_bf16_value(0x3FC0) == 1.5F);
}

/* Quantised by hand in double, the reference's int8 product agrees; edges: zeros, NaN. */
MTF_TEST(int8_reference_multiplies_quantised_values)
{
    enum { M = 7, N = 34, K = 22, FOURS = 24 };
    static int8_t panels[2 * FOURS * MTF_PANEL];
    float scale[2 * MTF_PANEL];
    int32_t sums[2 * MTF_PANEL];
    mtf_kernels table;
    CHECK(mtf_kernels_fill(&table, "ref"));
    buffer x = buffer_random(M * K, 1, -1.0, 1.0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer y = buffer_new(M * N, 1);
    buffer work = buffer_new((int64_t)mtf_packed_work(K), 0);
    for (int64_t p = 0; p < K; p++) {
        w.data[4 * K + p] = 0;
        x.data[5 * K + p] = 0;
    }
    x.data[2 * K + 3] = (mtf_real)INFINITY;
    table.pack_int8(panels, scale, sums, w.data, K, 0, N, K, 0, 2);
    table.packed_int8(y.data, N, x.data, K, 1, panels, scale, sums, M, N, K, &PLAIN, work.data);
    for (int64_t j = 0; j < N; j++) {
        int32_t sum = 0;
        double most = 0;
        for (int64_t p = 0; p < K; p++) {
            const int64_t at = j / MTF_PANEL * FOURS * MTF_PANEL + p / 4 * 4 * MTF_PANEL;
            const int8_t q = panels[at + j % MTF_PANEL * 4 + p % 4];
            CHECK_CLOSE((double)q * (double)scale[j], (double)w.data[j * K + p],
                        0.5001 * (double)scale[j]);
            sum += q;
            most = fmax(most, fabs((double)w.data[j * K + p]));
        }
        CHECK_INT(sums[j], sum);
        CHECK_CLOSE((double)scale[j], most / 127, 1e-8);
        for (int64_t i = 0; i < M; i++) {
            double want = 0;
            double low = INFINITY, high = -INFINITY, size = 0;
            for (int64_t p = 0; p < K; p++) {
                low = fmin(low, (double)x.data[i * K + p]);
                high = fmax(high, (double)x.data[i * K + p]);
                size += fabs((double)x.data[i * K + p]);
                want += (double)x.data[i * K + p] * (double)w.data[j * K + p];
            }
            if (i == 2) {
                CHECK(isnan(y.data[i * N + j]));
            } else {
                /* half a step of x against the largest weight, K times; half a step of the
                 * weights against all of x; roundings */
                CHECK_CLOSE(y.data[i * N + j], want,
                            0.501 * (K * most * (high - low) / 255 + size * most / 127) + 1e-6);
            }
        }
    }
    buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(work);
}

#if MTF_WITH_AVX2 && MTF_WITH_AVX512
extern const int mtf_avx2_compiled_pack, mtf_avx2_compiled_packed;
extern const int mtf_avx512_compiled_pack, mtf_avx512_compiled_packed;

MTF_TEST(files_were_compiled_with_their_flags)
{
    CHECK(mtf_avx2_compiled_pack && mtf_avx2_compiled_packed);
    CHECK(mtf_avx512_compiled_pack && mtf_avx512_compiled_packed);
}
#endif
