/* Kernels over rows, every level against the reference: layer norm, softmax, sums; rows alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

typedef struct norm {
    buffer x, residual, w, b, y, sum, stats, dy, extra, dsum, dw, db;
    int64_t m, c;
} norm;

static norm norm_new(int64_t m, int64_t c)
{
    norm t = {.m = m, .c = c};
    t.x = buffer_random(m * c, 1, -2.0, 3.0);
    t.residual = buffer_random(m * c, 3, -1.0, 1.0);
    t.w = buffer_random(c, 5, 0.5, 1.5);
    t.b = buffer_random(c, 7, -1.0, 1.0);
    t.y = buffer_new(m * c, 2);
    t.sum = buffer_new(m * c, 4);
    t.stats = buffer_new(2 * m, 1);
    t.dy = buffer_random(m * c, 6, -1.0, 1.0);
    t.extra = buffer_random(m * c, 1, -1.0, 1.0);
    t.dsum = buffer_new(m * c, 3);
    t.dw = buffer_random(c, 1, -1.0, 1.0);
    t.db = buffer_random(c, 2, -1.0, 1.0);
    return t;
}

static void norm_free(norm t)
{
    buffer_free(t.x), buffer_free(t.residual), buffer_free(t.w), buffer_free(t.b);
    buffer_free(t.y), buffer_free(t.sum), buffer_free(t.stats), buffer_free(t.dy);
    buffer_free(t.extra), buffer_free(t.dsum), buffer_free(t.dw), buffer_free(t.db);
}

#define EPS ((mtf_real)1e-12)

/* Every value of one forward and backward from double precision. */
static void check_norm_values(const norm *t, int with_residual)
{
    for (int64_t i = 0; i < t->m; i++) {
        double mean = 0;
        double var = 0;
        double avg = 0;
        double avg_n = 0;
        for (int64_t j = 0; j < t->c; j++) {
            mean += (double)t->sum.data[i * t->c + j] / (double)t->c;
        }
        for (int64_t j = 0; j < t->c; j++) {
            var += pow((double)t->sum.data[i * t->c + j] - mean, 2) / (double)t->c;
        }
        const double rstd = 1 / sqrt(var + (double)EPS);
        /* with few columns the deviation can be small: errors of the inputs grow by it */
        const double tolerance = TOLERANCE_LAYERNORM * (1 + rstd) * (1 + rstd);
        for (int64_t j = 0; j < t->c; j++) {
            const int64_t at = i * t->c + j;
            const double n = ((double)t->sum.data[at] - mean) * rstd;
            const double g = (double)t->dy.data[at] * (double)t->w.data[j];
            const mtf_real sum =
                with_residual ? t->x.data[at] + t->residual.data[at] : t->x.data[at];
            CHECK(t->sum.data[at] == sum);
            CHECK_CLOSE(t->y.data[at], n * (double)t->w.data[j] + (double)t->b.data[j], tolerance);
            avg += g / (double)t->c;
            avg_n += g * n / (double)t->c;
        }
        CHECK_CLOSE(t->stats.data[2 * i], mean, TOLERANCE_LAYERNORM * 4);
        CHECK_CLOSE(t->stats.data[2 * i + 1], rstd, tolerance * (1 + rstd));
        for (int64_t j = 0; j < t->c; j++) {
            const int64_t at = i * t->c + j;
            const double n = ((double)t->sum.data[at] - mean) * rstd;
            const double g = (double)t->dy.data[at] * (double)t->w.data[j];
            CHECK_CLOSE(t->dsum.data[at], rstd * (g - avg - n * avg_n) + (double)t->extra.data[at],
                        tolerance * (1 + rstd));
        }
    }
}

static void run_norm(const mtf_kernels *k, norm *t, int with_residual)
{
    k->layernorm_fwd(t->y.data, t->sum.data, t->stats.data, t->x.data,
                     with_residual ? t->residual.data : NULL, t->w.data, t->b.data, t->m, t->c,
                     EPS);
    k->layernorm_bwd_x(t->dsum.data, t->dy.data, t->extra.data, t->sum.data, t->stats.data,
                       t->w.data, t->m, t->c);
}

MTF_TEST(layernorm_values)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 2; s < N_TEST_SIZES; s++) { /* from 7 columns: below, rows may be all equal */
            norm t = norm_new(3, test_sizes[s]);
            run_norm(&tables[l], &t, s % 2);
            check_norm_values(&t, s % 2);
            norm_free(t);
        }
    }
}

/* All ways to call it agree in bits: no sum kept, in place, a row alone, gradient in place. */
MTF_TEST(layernorm_forms_agree)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        const mtf_kernels *k = &tables[l];
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t c = test_sizes[s];
            norm t = norm_new(5, c);
            const size_t bytes = t.x.n * sizeof *t.x.data;
            const size_t row = (size_t)c * sizeof *t.x.data;
            run_norm(k, &t, 1);
            buffer in_place = buffer_copy(t.x, 5);
            k->layernorm_fwd(in_place.data, NULL, NULL, in_place.data, t.residual.data, t.w.data,
                             t.b.data, 5, c, EPS);
            CHECK_BITS(in_place.data, t.y.data, bytes);
            k->layernorm_fwd(in_place.data, NULL, NULL, t.x.data + c, t.residual.data + c, t.w.data,
                             t.b.data, 1, c, EPS);
            CHECK_BITS(in_place.data, t.y.data + c, row);
            memcpy(in_place.data, t.dy.data, bytes);
            k->layernorm_bwd_x(in_place.data, in_place.data, t.extra.data, t.sum.data, t.stats.data,
                               t.w.data, 5, c);
            CHECK_BITS(in_place.data, t.dsum.data, bytes);
            k->layernorm_bwd_x(in_place.data, t.dy.data + c, t.extra.data + c, t.sum.data + c,
                               t.stats.data + 2, t.w.data, 1, c);
            CHECK_BITS(in_place.data, t.dsum.data + c, row);
            buffer_free(in_place);
            norm_free(t);
        }
    }
}

MTF_TEST(layernorm_weight_gradients)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 3; s < N_TEST_SIZES; s++) {
            const int64_t m = 20;
            const int64_t c = test_sizes[s];
            norm t = norm_new(m, c);
            run_norm(&tables[l], &t, 0);
            buffer dw0 = buffer_copy(t.dw, 0);
            buffer db0 = buffer_copy(t.db, 0);
            /* in two ranges of columns, added; then one of them alone */
            const int64_t cut = c / 3;
            tables[l].layernorm_bwd_w(t.dw.data, t.db.data, t.dy.data, t.sum.data, t.stats.data, m,
                                      c, 0, cut, 1);
            tables[l].layernorm_bwd_w(t.dw.data, t.db.data, t.dy.data, t.sum.data, t.stats.data, m,
                                      c, cut, c, 1);
            for (int64_t j = 0; j < c; j++) {
                double dw = (double)dw0.data[j];
                double db = (double)db0.data[j];
                for (int64_t i = 0; i < m; i++) {
                    const double n = ((double)t.sum.data[i * c + j] - (double)t.stats.data[2 * i]) *
                                     (double)t.stats.data[2 * i + 1];
                    dw += (double)t.dy.data[i * c + j] * n;
                    db += (double)t.dy.data[i * c + j];
                }
                CHECK_CLOSE(t.dw.data[j], dw, 3 * TOLERANCE_REDUCTION(m));
                CHECK_CLOSE(t.db.data[j], db, TOLERANCE_REDUCTION(m));
            }
            memcpy(dw0.data, t.dw.data, t.dw.n * sizeof *t.dw.data);
            tables[l].layernorm_bwd_w(NULL, t.db.data, t.dy.data, t.sum.data, t.stats.data, m, c, 0,
                                      c, 0);
            tables[l].layernorm_bwd_w(t.dw.data, NULL, t.dy.data, t.sum.data, t.stats.data, m, c, 0,
                                      0, 0);
            CHECK_BITS(dw0.data, t.dw.data, t.dw.n * sizeof *t.dw.data);
            buffer_free(dw0), buffer_free(db0);
            norm_free(t);
        }
    }
}

MTF_TEST(softmax_rows_values)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t n = test_sizes[s];
            buffer x = buffer_random(4 * n, 1, -30.0, 30.0);
            buffer y = buffer_new(4 * n, 3);
            buffer alone = buffer_new(n, 0);
            tables[l].softmax_rows(y.data, x.data, 4, n);
            for (int64_t i = 0; i < 4; i++) {
                double total = 0;
                for (int64_t j = 0; j < n; j++) {
                    total += exp((double)x.data[i * n + j]);
                }
                for (int64_t j = 0; j < n; j++) {
                    CHECK_CLOSE(y.data[i * n + j], exp((double)x.data[i * n + j]) / total,
                                TOLERANCE_SOFTMAX);
                }
            }
            tables[l].softmax_rows(alone.data, x.data + 2 * n, 1, n);
            CHECK_BITS(alone.data, y.data + 2 * n, alone.n * sizeof *alone.data);
            x.data[n - 1] = (mtf_real)NAN;
            tables[l].softmax_rows(x.data, x.data, 2, n); /* in place */
            for (int64_t j = 0; j < n; j++) {
                CHECK(isnan(x.data[j]) && !isnan(x.data[n + j]));
            }
            buffer_free(x), buffer_free(y), buffer_free(alone);
        }
    }
}

/* exp_sum and exp_add of x (n), against double: a term carries two ulp and the rounding of x - largest. */
static void check_exponentials(const mtf_kernels *level, const buffer *x, double factor)
{
    const int64_t n = (int64_t)x->n;
    buffer y = buffer_random(n, 2, -1.0, 1.0);
    buffer before = buffer_copy(y, 0);
    double top = (double)x->data[0], total = 0;
    mtf_real largest = 0;
    for (int64_t j = 1; j < n; j++) {
        top = fmax(top, (double)x->data[j]);
    }
    for (int64_t j = 0; j < n; j++) {
        total += exp((double)x->data[j] - top);
    }
    const double found = level->exp_sum(&largest, x->data, n);
    CHECK((double)largest == top);
    CHECK_CLOSE(found, total, 64 * UNIT_ROUNDOFF * total);
    level->exp_add(y.data, x->data, largest, (mtf_real)factor, n);
    for (int64_t j = 0; j < n; j++) {
        const double want = (double)before.data[j] + factor * exp((double)x->data[j] - top);
        CHECK_CLOSE(y.data[j], want, 4 * UNIT_ROUNDOFF * (1 + factor));
    }
    buffer_free(y), buffer_free(before);
}

MTF_TEST(sums_of_exponentials)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t n = test_sizes[s];
            mtf_real largest;
            buffer x = buffer_random(n, s % 4, -30.0, 30.0);
            if (n > 0) {
                check_exponentials(&tables[l], &x, 0.75);
            }
            for (int64_t j = 0; j < n;
                 j++) { /* all far below 0: what is not there must not count */
                x.data[j] -= 1000;
            }
            if (n > 0) {
                check_exponentials(&tables[l], &x, 0.75);
                const mtf_real held = x.data[n / 2];
                x.data[n / 2] = -(mtf_real)INFINITY;
                CHECK(n == 1 || tables[l].exp_sum(&largest, x.data, n) >= 1);
                x.data[n / 2] = (mtf_real)INFINITY;
                CHECK(isnan(tables[l].exp_sum(&largest, x.data, n)));
                x.data[n / 2] = (mtf_real)NAN;
                CHECK(isnan(tables[l].exp_sum(&largest, x.data, n)));
                x.data[n / 2] = held;
                for (int64_t j = 0; j < n; j++) {
                    x.data[j] = -(mtf_real)INFINITY;
                }
                CHECK(isnan(tables[l].exp_sum(&largest, x.data, n)));
            }
            buffer_free(x);
        }
    }
}

MTF_TEST(sums_over_columns_and_of_squares)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            const int64_t n = test_sizes[s];
            const int64_t ld = n + 3;
            const int64_t m = 13;
            buffer x = buffer_random(m * ld, 1, -1.0, 1.0);
            buffer sum = buffer_random(n, 3, -1.0, 1.0);
            buffer before = buffer_copy(sum, 0);
            tables[l].column_sum(sum.data, x.data, ld, m, n, 1);
            double squares = 0;
            for (int64_t i = 0; i < m * ld; i++) {
                squares += (double)x.data[i] * (double)x.data[i];
            }
            for (int64_t j = 0; j < n; j++) {
                double want = (double)before.data[j];
                for (int64_t i = 0; i < m; i++) {
                    want += (double)x.data[i * ld + j];
                }
                CHECK_CLOSE(sum.data[j], want, TOLERANCE_REDUCTION(m));
            }
            memcpy(before.data, sum.data, sum.n * sizeof *sum.data);
            tables[l].column_sum(sum.data, x.data, ld, 0, n, 1);
            CHECK_BITS(sum.data, before.data, sum.n * sizeof *sum.data);
            tables[l].column_sum(sum.data, x.data, ld, 0, n, 0);
            CHECK(sum.data[n - 1] == 0);
            CHECK_CLOSE(tables[l].sum_squares(x.data, m * ld), squares, 1e-13 * squares);
            buffer_free(x), buffer_free(sum), buffer_free(before);
        }
    }
}
