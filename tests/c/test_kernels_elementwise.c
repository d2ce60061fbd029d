/* Elementwise kernels of every level against the reference: activations, dropout, AdamW, add.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

#include "base/random.h"

static const mtf_activation activations[] = {MTF_ACT_NONE,       MTF_ACT_GELU,    MTF_ACT_GELU_NEW,
                                             MTF_ACT_RELU,       MTF_ACT_TANH,    MTF_ACT_SILU,
                                             MTF_ACT_QUICK_GELU, MTF_ACT_SIGMOID, MTF_ACT_RELU6};
#define N_ACTIVATIONS 9

static void check_activation(const mtf_kernels *ref, const mtf_kernels *level, int64_t n,
                             mtf_activation act, int with_bias, int with_pre)
{
    const int64_t m = 3;
    buffer x = buffer_random(m * n, 1, -12.0, 12.0);
    buffer b = buffer_random(n, 2, -1.0, 1.0);
    buffer want = buffer_copy(x, 0);
    buffer got = buffer_copy(x, 3);
    buffer want_pre = buffer_new(m * n, 0);
    buffer got_pre = buffer_new(m * n, 5);
    const mtf_real *bias = with_bias ? b.data : NULL;
    ref->bias_act_fwd(want.data, with_pre ? want_pre.data : NULL, bias, m, n, act);
    level->bias_act_fwd(got.data, with_pre ? got_pre.data : NULL, bias, m, n, act);
    check_close_all(got.data, want.data, m * n, TOLERANCE_ACTIVATION(12.0), "activation");
    if (with_pre) {
        CHECK_BITS(got_pre.data, want_pre.data, want_pre.n * sizeof *want_pre.data);
    }
    /* a row alone has the bits that it has among others */
    buffer alone = buffer_new(n, 0);
    memcpy(alone.data, x.data + n, alone.n * sizeof *x.data);
    level->bias_act_fwd(alone.data, NULL, bias, 1, n, act);
    CHECK_BITS(alone.data, got.data + n, alone.n * sizeof *alone.data);

    buffer dy = buffer_random(m * n, 1, -1.0, 1.0);
    buffer want_d = buffer_new(m * n, 0);
    buffer got_d = buffer_copy(dy, 6);
    ref->act_bwd(want_d.data, dy.data, x.data, m * n, act);
    level->act_bwd(got_d.data, got_d.data, x.data, m * n, act); /* in place */
    check_close_all(got_d.data, want_d.data, m * n, TOLERANCE_ACTIVATION(12.0), "slope");
    buffer_free(x), buffer_free(b), buffer_free(want), buffer_free(got), buffer_free(want_pre);
    buffer_free(got_pre), buffer_free(alone), buffer_free(dy), buffer_free(want_d);
    buffer_free(got_d);
}

MTF_TEST(activations_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            for (int a = 0; a < N_ACTIVATIONS; a++) {
                check_activation(&tables[0], &tables[l], test_sizes[s], activations[a], (s + a) % 2,
                                 s % 2);
            }
        }
    }
}

/* In the double build's terms: the derivative is that of the function. */
MTF_TEST(slopes_match_differences)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int a = 1; a < N_ACTIVATIONS; a++) {
            for (double x = -4.03; x < 7.0; x += 0.25) { /* past both corners of relu6 */
                const double h = 0x1p-7;
                mtf_real at[3] = {(mtf_real)(x - h), (mtf_real)(x + h), (mtf_real)x};
                mtf_real y[3] = {at[0], at[1], at[2]};
                mtf_real one = 1;
                mtf_real slope;
                tables[l].bias_act_fwd(y, NULL, NULL, 1, 3, activations[a]);
                tables[l].act_bwd(&slope, &one, &at[2], 1, activations[a]);
                /* h^2 / 6 times the third derivative (below 2) and rounding u / h */
                CHECK_CLOSE(slope, (y[1] - y[0]) / (at[1] - at[0]), 1e-4);
            }
        }
    }
}

/* GELU over its whole range, against double: what the SIMD form promises. */
MTF_TEST(gelu_and_its_slope_everywhere)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int i = 0; i < 30000; i++) {
            const mtf_real x =
                (mtf_real)(i < 100 ? ldexp(i % 2 ? 1 : -1, i - 80) : test_uniform(-9.0, 9.0));
            const double below = 0.5 * erfc(-(double)x / sqrt(2.0));
            const double slope =
                below + (double)x * exp(-0.5 * (double)x * (double)x) / sqrt(2 * 3.14159265358979);
            mtf_real y = x;
            mtf_real one = 1;
            mtf_real got;
            tables[l].bias_act_fwd(&y, NULL, NULL, 1, 1, MTF_ACT_GELU);
            tables[l].act_bwd(&got, &one, &x, 1, MTF_ACT_GELU);
            CHECK_CLOSE(y, (double)x * below, TOLERANCE_GELU * (1 + fabs((double)x)));
            CHECK_CLOSE(got, slope, 2 * TOLERANCE_GELU);
        }
    }
}

MTF_TEST(not_a_number_passes_through)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int at = 0; at < 11; at++) {
            for (int a = 0; a < N_ACTIVATIONS; a++) {
                mtf_real y[11] = {0};
                mtf_real slope[11];
                mtf_real one[11] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
                y[at] = (mtf_real)NAN;
                tables[l].act_bwd(slope, one, y, 11, activations[a]);
                tables[l].bias_act_fwd(y, NULL, NULL, 1, 11, activations[a]);
                CHECK(isnan(y[at]) && (activations[a] == MTF_ACT_NONE || isnan(slope[at])));
                CHECK(!isnan(y[(at + 1) % 11]));
            }
        }
    }
}

MTF_TEST(dropout_masks_are_the_counters_bits)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const uint32_t threshold = 1u << 29; /* rate 1/8 */
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            for (int add = 0; add < 2; add++) {
                const int64_t n = test_sizes[s];
                const uint64_t key = test_random();
                buffer x = buffer_random(n, 1, -1.0, 1.0);
                buffer y = buffer_random(n, 3, -1.0, 1.0);
                buffer want = buffer_copy(y, 0);
                tables[l].dropout_row(y.data, x.data, n, key, threshold, (mtf_real)(8.0 / 7), add);
                for (int64_t j = 0; j < n; j++) {
                    const int keeps = mtf_mask_keeps(key, (uint32_t)j, threshold);
                    const mtf_real value = keeps ? x.data[j] * (mtf_real)(8.0 / 7) : 0;
                    want.data[j] = add ? want.data[j] + value : value;
                }
                CHECK_BITS(y.data, want.data, y.n * sizeof *y.data);
                buffer_free(x), buffer_free(y), buffer_free(want);
            }
        }
    }
}

MTF_TEST(dropout_rate_is_kept)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    enum { N = 1000, ROWS_DRAWN = 200 };
    static mtf_real ones[N];
    static mtf_real y[N];
    for (int j = 0; j < N; j++) {
        ones[j] = 1;
    }
    int64_t n_kept = 0;
    for (int r = 0; r < ROWS_DRAWN; r++) {
        const uint32_t threshold = 429496730; /* 0.1 */
        tables[n_levels - 1].dropout_row(y, ones, N, mtf_random_mix(7, (uint64_t)r), threshold, 1,
                                         0);
        for (int j = 0; j < N; j++) {
            n_kept += y[j] != 0;
        }
    }
    /* five deviations of a binomial with p = 0.9 */
    CHECK_CLOSE(n_kept, 0.9 * N * ROWS_DRAWN, 5 * sqrt(0.09 * N * ROWS_DRAWN));
}

/* Against the formula in double: each of p, m, v within a few roundings of its own size. */
MTF_TEST(adamw_follows_its_formula)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t n = test_sizes[s];
            const int step = 1 + s;
            const mtf_adamw o = {.rate = 1e-3,
                                 .decay = 0.01,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .correction1 = 1 - pow(0.9, step),
                                 .correction2 = 1 - pow(0.999, step),
                                 .grad_scale = 0.5};
            buffer p = buffer_random(n, 1, -1.0, 1.0);
            buffer m = buffer_random(n, 2, -0.1, 0.1);
            buffer v = buffer_random(n, 3, 0.0, 0.01);
            buffer g = buffer_random(n, 5, -1.0, 1.0);
            buffer p0 = buffer_copy(p, 0);
            buffer m0 = buffer_copy(m, 0);
            buffer v0 = buffer_copy(v, 0);
            tables[l].adamw(p.data, m.data, v.data, g.data, n, &o);
            for (int64_t j = 0; j < n; j++) {
                const double grad = 0.5 * (double)g.data[j];
                const double mj = 0.9 * (double)m0.data[j] + (1 - 0.9) * grad;
                const double vj = 0.999 * (double)v0.data[j] + (1 - 0.999) * grad * grad;
                double pj = (double)p0.data[j] * (1 - 1e-3 * 0.01);
                pj -= 1e-3 / o.correction1 * mj / (sqrt(vj) / sqrt(o.correction2) + 1e-8);
                CHECK_CLOSE(m.data[j], mj, 4 * UNIT_ROUNDOFF * (0.1 + fabs(grad)));
                CHECK_CLOSE(v.data[j], vj, 4 * UNIT_ROUNDOFF * (0.01 + vj));
                CHECK_CLOSE(p.data[j], pj, 4 * UNIT_ROUNDOFF * (1 + fabs(pj)));
            }
            /* any level has the reference's bits: no fused operation, true root and division */
            tables[0].adamw(p0.data, m0.data, v0.data, g.data, n, &o);
            CHECK_BITS(p.data, p0.data, p.n * sizeof *p.data);
            CHECK_BITS(m.data, m0.data, m.n * sizeof *m.data);
            CHECK_BITS(v.data, v0.data, v.n * sizeof *v.data);
            buffer_free(p), buffer_free(m), buffer_free(v), buffer_free(g);
            buffer_free(p0), buffer_free(m0), buffer_free(v0);
        }
    }
}

MTF_TEST(vectors_are_added)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            buffer x = buffer_random(test_sizes[s], 1, -1.0, 1.0);
            buffer y = buffer_random(test_sizes[s], 3, -1.0, 1.0);
            buffer want = buffer_copy(y, 0);
            tables[l].add_to(y.data, x.data, test_sizes[s]);
            for (size_t j = 0; j < x.n; j++) {
                want.data[j] += x.data[j];
            }
            CHECK_BITS(y.data, want.data, y.n * sizeof *y.data);
            buffer_free(x), buffer_free(y), buffer_free(want);
        }
    }
}
