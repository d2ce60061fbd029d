/* Kernels of pre-norm and gated families, every level against the reference: gated products,
 * rotations, root mean square; norms without a bias.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

static void check_gated(const mtf_kernels *ref, const mtf_kernels *level, int64_t n,
                        mtf_activation act, int add)
{
    const int64_t m = 3;
    const int64_t ld = n + 5;
    buffer a = buffer_random(m * ld, 1, -8.0, 8.0);
    buffer b = buffer_random(m * ld, 2, -1.0, 1.0);
    buffer dy = buffer_random(m * n, 3, -1.0, 1.0);
    buffer y = buffer_new(m * n, 5);
    buffer want = buffer_new(m * n, 0);
    level->gated_fwd(y.data, a.data, ld, b.data, ld, m, n, act);
    ref->gated_fwd(want.data, a.data, ld, b.data, ld, m, n, act);
    check_close_all(y.data, want.data, m * n, TOLERANCE_ACTIVATION(8.0), "gated product");
    buffer alone = buffer_new(n, 1);
    level->gated_fwd(alone.data, a.data + ld, ld, b.data + ld, ld, 1, n, act);
    CHECK_BITS(alone.data, y.data + n, alone.n * sizeof *alone.data);

    buffer da = buffer_random(m * ld, 1, -1.0, 1.0);
    buffer db = buffer_random(m * ld, 3, -1.0, 1.0);
    buffer want_a = buffer_copy(da, 0);
    buffer want_b = buffer_copy(db, 0);
    buffer one = buffer_copy(da, 2);
    level->gated_bwd(da.data, db.data, dy.data, a.data, ld, b.data, ld, m, n, act, add, add);
    ref->gated_bwd(want_a.data, want_b.data, dy.data, a.data, ld, b.data, ld, m, n, act, add, add);
    check_close_all(da.data, want_a.data, m * ld, TOLERANCE_ACTIVATION(8.0), "gated da");
    check_close_all(db.data, want_b.data, m * ld, TOLERANCE_ACTIVATION(8.0), "gated db");
    level->gated_bwd(one.data, NULL, dy.data, a.data, ld, b.data, ld, m, n, act, add, add);
    CHECK_BITS(one.data, da.data, one.n * sizeof *one.data);
    memcpy(one.data, want_b.data, one.n * sizeof *one.data);
    level->gated_bwd(NULL, one.data, dy.data, a.data, ld, NULL, ld, m, n, act, 0, 0);
    level->gated_bwd(NULL, db.data, dy.data, a.data, ld, NULL, ld, m, n, act, 0, 0);
    for (int64_t i = 0; i < m * n; i++) {
        CHECK(one.data[i / n * ld + i % n] == db.data[i / n * ld + i % n]);
    }
    buffer_free(a), buffer_free(b), buffer_free(dy), buffer_free(y), buffer_free(want);
    buffer_free(alone), buffer_free(da), buffer_free(db), buffer_free(want_a);
    buffer_free(want_b), buffer_free(one);
}

MTF_TEST(gated_products_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            for (int a = 0; a < MTF_N_ACTIVATIONS; a++) {
                check_gated(&tables[0], &tables[l], test_sizes[s], (mtf_activation)a, (s + a) % 2);
            }
        }
    }
}

MTF_TEST(rotations_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t half = test_sizes[s];
            const int64_t d = 2 * half + s % 3 * 5; /* some columns are copied */
            buffer x = buffer_random(2 * d, 1, -1.0, 1.0);
            buffer cosines = buffer_random(half, 2, -1.0, 1.0);
            buffer sines = buffer_random(half, 3, -1.0, 1.0);
            for (int add = 0; add < 2; add++) {
                buffer y = buffer_random(2 * d, 5, -1.0, 1.0);
                buffer want = buffer_copy(y, 0);
                tables[l].rotary_row(y.data, x.data, cosines.data, sines.data, 2, d, half, add);
                for (int64_t j = 0; j < 2 * d; j++) {
                    const int64_t k = j % d;
                    double turned = (double)x.data[j];
                    if (k < 2 * half) {
                        turned *= (double)cosines.data[k % half];
                        turned += (double)sines.data[k % half] *
                                  (double)(k < half ? -x.data[j + half] : x.data[j - half]);
                    }
                    CHECK_CLOSE(y.data[j], turned + (add ? (double)want.data[j] : 0),
                                4 * UNIT_ROUNDOFF);
                }
                buffer_free(y), buffer_free(want);
            }
            buffer_free(x), buffer_free(cosines), buffer_free(sines);
        }
    }
}

/* Three groups a row. */
static void check_rmsnorm(const mtf_kernels *k, int64_t d)
{
    const int64_t m = 4;
    const int64_t c = 3 * d;
    const mtf_real eps = (mtf_real)1e-3;
    const mtf_real offset = (mtf_real)0.75;
    const size_t bytes = (size_t)(m * c) * sizeof(mtf_real);
    buffer x = buffer_random(m * c, 1, -2.0, 2.0);
    buffer residual = buffer_random(m * c, 2, -1.0, 1.0);
    buffer w = buffer_random(d, 3, -0.5, 0.5);
    buffer dy = buffer_random(m * c, 5, -1.0, 1.0);
    buffer extra = buffer_random(m * c, 6, -1.0, 1.0);
    buffer dw = buffer_random(d, 1, -1.0, 1.0);
    buffer dw0 = buffer_copy(dw, 0);
    buffer y = buffer_new(m * c, 2), sum = buffer_new(m * c, 3), ds = buffer_new(m * c, 1);
    buffer stats = buffer_new(m * 3, 7);
    k->rmsnorm_fwd(y.data, sum.data, stats.data, x.data, residual.data, w.data, m, c, d, eps,
                   offset);
    k->rmsnorm_bwd_x(ds.data, dy.data, extra.data, sum.data, stats.data, w.data, m, c, d, offset);
    for (int64_t at = 0; at < m * c; at += d) {
        double mean = 0;
        double average = 0;
        for (int64_t j = at; j < at + d; j++) {
            const mtf_real added = x.data[j] + residual.data[j];
            CHECK(sum.data[j] == added);
            mean += (double)sum.data[j] * (double)sum.data[j] / (double)d;
        }
        const double r = 1 / sqrt(mean + (double)eps);
        CHECK_CLOSE(stats.data[at / d], r, TOLERANCE_LAYERNORM * (1 + r));
        for (int64_t j = at; j < at + d; j++) {
            const double weight = (double)offset + (double)w.data[j - at];
            CHECK_CLOSE(y.data[j], (double)sum.data[j] * r * weight, TOLERANCE_LAYERNORM * (1 + r));
            average += (double)dy.data[j] * weight * (double)sum.data[j] * r / (double)d;
        }
        for (int64_t j = at; j < at + d; j++) {
            const double weight = (double)offset + (double)w.data[j - at];
            const double n = (double)sum.data[j] * r;
            CHECK_CLOSE(ds.data[j],
                        r * ((double)dy.data[j] * weight - n * average) + (double)extra.data[j],
                        TOLERANCE_LAYERNORM * (1 + r) * (1 + r));
        }
    }
    /* in two ranges of columns, added */
    k->rmsnorm_bwd_w(dw.data, dy.data, sum.data, stats.data, m, c, d, 0, d / 3, 1);
    k->rmsnorm_bwd_w(dw.data, dy.data, sum.data, stats.data, m, c, d, d / 3, d, 1);
    for (int64_t j = 0; j < d; j++) {
        double want = (double)dw0.data[j];
        for (int64_t at = j; at < m * c; at += d) {
            want += (double)dy.data[at] * (double)sum.data[at] * (double)stats.data[at / d];
        }
        CHECK_CLOSE(dw.data[j], want, 3 * TOLERANCE_REDUCTION(3 * m));
    }
    /* all ways to call it agree in bits: in place without a sum, a row alone, gradient in place */
    buffer held = buffer_copy(x, 5);
    k->rmsnorm_fwd(held.data, NULL, NULL, held.data, residual.data, w.data, m, c, d, eps, offset);
    CHECK_BITS(held.data, y.data, bytes);
    k->rmsnorm_fwd(held.data, NULL, NULL, x.data + c, residual.data + c, w.data, 1, c, d, eps,
                   offset);
    CHECK_BITS(held.data, y.data + c, (size_t)c * sizeof(mtf_real));
    k->rmsnorm_fwd(held.data, NULL, NULL, sum.data, NULL, w.data, m, c, d, eps, offset);
    CHECK_BITS(held.data, y.data, bytes);
    memcpy(held.data, dy.data, bytes);
    k->rmsnorm_bwd_x(held.data, held.data, extra.data, sum.data, stats.data, w.data, m, c, d,
                     offset);
    CHECK_BITS(held.data, ds.data, bytes);
    buffer_free(x), buffer_free(residual), buffer_free(w), buffer_free(dy), buffer_free(extra);
    buffer_free(dw), buffer_free(dw0), buffer_free(y), buffer_free(sum), buffer_free(ds);
    buffer_free(stats), buffer_free(held);
}

MTF_TEST(groups_are_divided_by_their_root_mean_square)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            check_rmsnorm(&tables[l], test_sizes[s]);
        }
    }
}

/* A layer norm without a bias is one with a bias of zeros. */
MTF_TEST(a_norm_may_lack_its_bias)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t c = test_sizes[s];
            buffer x = buffer_random(3 * c, 1, -2.0, 2.0);
            buffer w = buffer_random(c, 2, 0.5, 1.5);
            buffer zeros = buffer_random(c, 3, 0.0, 0.0);
            buffer want = buffer_new(3 * c, 5);
            buffer got = buffer_new(3 * c, 1);
            tables[l].layernorm_fwd(want.data, NULL, NULL, x.data, NULL, w.data, zeros.data, 3, c,
                                    (mtf_real)1e-5);
            tables[l].layernorm_fwd(got.data, NULL, NULL, x.data, NULL, w.data, NULL, 3, c,
                                    (mtf_real)1e-5);
            for (int64_t i = 0; i < 3 * c; i++) {
                CHECK(got.data[i] == want.data[i]);
            }
            buffer_free(x), buffer_free(w), buffer_free(zeros), buffer_free(want);
            buffer_free(got);
        }
    }
}
