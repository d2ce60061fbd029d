/* Products with bf16 panels and what follows them: every level against sums in double; what lies in bf16
 * has the bits of what lies in floats, and a row alone those that it has among others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reduced_case.h"

#include "base/bf16.h"
#include "blas/affine.h"

#ifdef MTF_AMX_EMULATED
#include "amx_emulation.h"
#endif

#define SCALE    1
#define SHIFT    2
#define RESIDUAL 4

/* A product with every operand in both forms; xi of x in bf16 is K in whole lines. */
typedef struct affine_case {
    reduced_case c;
    reduced_panels panels;
    buffer x, scale, shift, residual, work;
    uint16_t *x_half, *residual_half;
    int64_t xi_half;
} affine_case;

static uint16_t *new_halves(int64_t n)
{
    uint16_t *halves = mtf_alloc_array((size_t)n, sizeof *halves);
    CHECK(halves != NULL);
    memset(halves, 0xFF, (size_t)n * sizeof *halves); /* NaN */
    return halves;
}

static affine_case new_case(const mtf_kernels *ref, int64_t m, int64_t n, int64_t k)
{
    affine_case a = {.c = reduced_new(m, n, k, 0)};
    a.panels = pack_bf16(ref, &a.c);
    a.xi_half = (k + MTF_HALVES - 1) / MTF_HALVES * MTF_HALVES;
    a.x_half = new_halves(m * a.xi_half);
    a.x = buffer_new(m * k, 0);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t p = 0; p < a.xi_half; p++) {
            const uint16_t half = p < k ? mtf_bf16_round(*reduced_x(&a.c, i, p)) : 0;
            a.x_half[i * a.xi_half + p] = half;
            if (p < k) {
                a.x.data[i * k + p] = mtf_bf16_value(half);
            }
        }
    }
    a.scale = buffer_random(n, 5, 0.5, 1.5);
    a.shift = buffer_random(n, 6, -1.0, 1.0);
    a.residual = buffer_random(m * a.c.ldy, 7, -1.0, 1.0);
    a.residual_half = new_halves(m * a.c.ldy);
    for (int64_t i = 0; i < m * a.c.ldy; i++) {
        a.residual_half[i] = mtf_bf16_round(a.residual.data[i]);
        a.residual.data[i] = mtf_bf16_value(a.residual_half[i]);
    }
    a.work = buffer_new((int64_t)mtf_affine_product_work(m, n, k), 1);
    return a;
}

static void free_case(affine_case a)
{
    panels_free(a.panels);
    buffer_free(a.x), buffer_free(a.scale), buffer_free(a.shift), buffer_free(a.residual);
    buffer_free(a.work);
    mtf_free(a.x_half);
    mtf_free(a.residual_half);
    reduced_free(a.c);
}

/* Rows first .. first + m - 1, with x and the residual in bf16 or not; y (m,N) in halves or floats. */
static void run(const affine_case *a, int parts, mtf_activation act, int64_t first, int64_t m,
                int half, mtf_real *y, uint16_t *y_half)
{
    const int64_t ld = a->c.ldy;
    mtf_affine_product p = {.m = m,
                            .n = a->c.n,
                            .k = a->c.k,
                            .x = half ? NULL : a->x.data + first * a->c.k,
                            .x_half = half ? a->x_half + first * a->xi_half : NULL,
                            .xi = half ? a->xi_half : a->c.k,
                            .n_runs = 1,
                            .panels = (const uint16_t *)a->panels.values.data,
                            .scale = parts & SCALE ? a->scale.data : NULL,
                            .shift = parts & SHIFT ? a->shift.data : NULL,
                            .ldr = ld,
                            .activation = act,
                            .y = y,
                            .y_half = y_half,
                            .ldy = ld};
    if (parts & RESIDUAL) {
        p.residual = half ? NULL : a->residual.data + first * ld;
        p.residual_half = half ? a->residual_half + first * ld : NULL;
    }
    mtf_affine_product_run(&p, a->work.data);
}

static double literal(const affine_case *a, int parts, mtf_activation act, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t p = 0; p < a->c.k; p++) {
        const float w = mtf_bf16_value(mtf_bf16_round(a->c.w.data[j * a->c.ldw + p]));
        sum += (double)a->x.data[i * a->c.k + p] * (double)w;
    }
    sum *= parts & SCALE ? (double)a->scale.data[j] : 1;
    sum += parts & SHIFT ? (double)a->shift.data[j] : 0;
    sum += parts & RESIDUAL ? (double)a->residual.data[i * a->c.ldy + j] : 0;
    return act == MTF_ACT_RELU && sum < 0 ? 0 : sum;
}

static void check_values(const affine_case *a, int parts, mtf_activation act, buffer y)
{
    for (int64_t i = 0; i < a->c.m; i++) {
        for (int64_t j = 0; j < a->c.n; j++) {
            const double want = literal(a, parts, act, i, j);
            const double tolerance = 0x1p-8 * fabs(want) + TOLERANCE_BF16(a->c.k) * 8;
            if (!CHECK_CLOSE(y.data[i * a->c.ldy + j], want, tolerance)) {
                return;
            }
        }
    }
}

static void check_case(const affine_case *a, int parts, mtf_activation act)
{
    const int64_t m = a->c.m;
    const int64_t n = a->c.n;
    const int64_t ld = a->c.ldy;
    buffer y = buffer_new(m * ld, 1);
    buffer other = buffer_new(m * ld, 3);
    uint16_t *halves = new_halves(m * ld);
    run(a, parts, act, 0, m, 0, y.data, NULL);
    check_values(a, parts, act, y);
    run(a, parts, act, 0, m, 1, other.data, NULL);
    run(a, parts, act, 0, m, 1, NULL, halves);
    for (int64_t i = 0; i < m; i++) {
        CHECK_BITS(other.data + i * ld, y.data + i * ld, (size_t)n * sizeof *y.data);
        for (int64_t j = 0; j < ld; j++) {
            const float value = mtf_bf16_value(halves[i * ld + j]);
            if (j < n ? !CHECK(value == y.data[i * ld + j])
                      : !CHECK(halves[i * ld + j] == 0xFFFF)) { /* between rows */
                break;
            }
        }
    }
#ifdef MTF_AMX_EMULATED
    CHECK_INT(amx_faults, 0);
    CHECK_INT(amx_configured, 0);
#endif
    run(a, parts, act, m - 1, 1, 1, other.data, NULL);
    CHECK_BITS(other.data, y.data + (m - 1) * ld, (size_t)n * sizeof *y.data);
    buffer_free(y), buffer_free(other);
    mtf_free(halves);
}

/* Calls `check` with every level in use. */
static void at_each_level(void (*check)(const mtf_kernels *ref))
{
    mtf_kernels tables[MAX_LEVELS];
    const mtf_kernels *before = mtf_kernel;
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        mtf_kernel = &tables[l];
        check(&tables[0]);
    }
    mtf_kernel = before;
}

static void check_shapes(const mtf_kernels *ref)
{
    /* several strips and panels, a weight that is not small (512 KB), sums of many terms */
    static const int64_t shapes[][3] = {{1, 1, 1},    {16, 32, 32},   {17, 33, 31},
                                        {33, 40, 65}, {64, 64, 128},  {5, 31, 100},
                                        {70, 96, 64}, {65, 40, 8192}, {200, 70, 147}};
    static const mtf_activation kinds[] = {MTF_ACT_NONE, MTF_ACT_RELU};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const affine_case a = new_case(ref, shapes[s][0], shapes[s][1], shapes[s][2]);
        for (int parts = 0; parts < 8; parts++) {
            if (a.c.k < 1000 || parts == 7) {
                check_case(&a, parts, kinds[(parts + (int)s) % 2]);
            }
        }
        free_case(a);
    }
}

MTF_TEST(values_and_bits_of_every_level)
{
    at_each_level(check_shapes);
}

/* x in runs: row i of run r begins at (i + r * SHIFTED) * RUN, as those of windows do. */
static void check_runs(const mtf_kernels *ref)
{
    enum { M = 75, N = 40, RUN = 96, RUNS = 3, SHIFTED = 5, K = RUN * RUNS };
    affine_case a = new_case(ref, M, N, K);
    uint16_t *rows = new_halves((M + (RUNS - 1) * SHIFTED) * RUN);
    for (int64_t i = 0; i < (M + (RUNS - 1) * SHIFTED) * RUN; i++) {
        rows[i] = mtf_bf16_round((float)(i * 7919 % 1009) / 1009.0F - 0.5F);
    }
    for (int64_t i = 0; i < M; i++) {
        for (int64_t p = 0; p < K; p++) {
            a.x_half[i * a.xi_half + p] = rows[(i + p / RUN * SHIFTED) * RUN + p % RUN];
        }
    }
    buffer want = buffer_new(M * a.c.ldy, 0);
    buffer y = buffer_new(M * a.c.ldy, 2);
    run(&a, SCALE | SHIFT, MTF_ACT_RELU, 0, M, 1, want.data, NULL);
    const mtf_affine_product p = {.m = M,
                                  .n = N,
                                  .k = K,
                                  .x_half = rows,
                                  .xi = RUN,
                                  .n_runs = RUNS,
                                  .run_step = SHIFTED * RUN,
                                  .panels = (const uint16_t *)a.panels.values.data,
                                  .scale = a.scale.data,
                                  .shift = a.shift.data,
                                  .activation = MTF_ACT_RELU,
                                  .y = y.data,
                                  .ldy = a.c.ldy};
    mtf_affine_product_run(&p, a.work.data);
    for (int64_t i = 0; i < M; i++) {
        CHECK_BITS(y.data + i * a.c.ldy, want.data + i * a.c.ldy, N * sizeof *y.data);
    }
    mtf_free(rows);
    buffer_free(want), buffer_free(y);
    free_case(a);
}

MTF_TEST(runs_are_read_where_they_lie)
{
    at_each_level(check_runs);
}

/* Neither the residual nor the activation hides a NaN, and infinities stay. */
static void check_not_finite(const mtf_kernels *ref)
{
    affine_case a = new_case(ref, 40, 33, 64);
    buffer y = buffer_new(40 * a.c.ldy, 1);
    a.x_half[3 * a.xi_half + 5] = mtf_bf16_round(NAN);
    a.residual_half[35 * a.c.ldy + 32] = mtf_bf16_round(INFINITY);
    run(&a, SCALE | SHIFT | RESIDUAL, MTF_ACT_RELU, 0, 40, 1, y.data, NULL);
    for (int64_t j = 0; j < 33; j++) {
        CHECK(isnan(y.data[3 * a.c.ldy + j]));
        CHECK(isfinite(y.data[4 * a.c.ldy + j]));
    }
    CHECK(y.data[35 * a.c.ldy + 32] == (mtf_real)INFINITY);
    buffer_free(y);
    free_case(a);
}

MTF_TEST(what_is_not_finite_is_seen)
{
    at_each_level(check_not_finite);
}
