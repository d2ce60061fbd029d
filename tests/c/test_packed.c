/* Packed forms and the products over them, at every level: right, cut anywhere with the same bits,
 * made again when the master changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/alloc.h"
#include "base/bf16.h"
#include "blas/packed.h"
#include "tolerances.h"

static const struct {
    int64_t n, k;
} shapes[] = {{256, 256}, {384, 384}, {520, 130}, {96, 768}};

enum { M = 45 };

static mtf_real *random_values(int64_t n)
{
    mtf_real *values = mtf_alloc_array((size_t)n, sizeof *values);
    CHECK(values != NULL);
    test_fill(values, (size_t)n, -1, 1);
    return values;
}

static mtf_weight weight_of(const mtf_real *master, int64_t n, int64_t k, mtf_layout layout)
{
    const int out_in = layout == MTF_LAYOUT_OUT_IN;
    return (mtf_weight){.master = master,
                        .rows = out_in ? n : k,
                        .cols = out_in ? k : n,
                        .layout = layout,
                        .version = 3};
}

static void fill(mtf_weight *w, mtf_use use, mtf_precision precision)
{
    mtf_error err = {0};
    CHECK(mtf_form_reserve(w, use, precision, &err) == MTF_OK);
    const int64_t panels = mtf_form_panels(w, use);
    mtf_form_fill(w, use, precision, panels / 2, panels); /* in any order */
    mtf_form_fill(w, use, precision, 0, panels / 2);
    w->forms[use][precision].filled = w->version + 1;
}

/* W[n][k] of either layout. */
static double element(const mtf_weight *w, int64_t n, int64_t k)
{
    return (double)(w->layout == MTF_LAYOUT_OUT_IN ? w->master[n * w->cols + k]
                                                   : w->master[k * w->cols + n]);
}

static double rounded(double x, mtf_precision precision)
{
    return precision == MTF_PRECISION_BF16 ? (double)mtf_bf16_value(mtf_bf16_round((float)x)) : x;
}

/* Error allowed of a sum over k terms of values in [-1, 1]; int8 rounds each factor
 * by 1/254 at most. */
static double tolerance(int64_t k, mtf_precision precision)
{
    return precision == MTF_PRECISION_INT8 ? 6 * sqrt((double)k) / 254
                                           : TOLERANCE_BF16(k) + 1e-12 * (double)k;
}

static void check_use(const mtf_weight *w, mtf_use use, mtf_precision precision, int64_t n_out,
                      int64_t n_sum)
{
    mtf_real *x = random_values(M * n_sum);
    mtf_real *bias = random_values(n_out);
    mtf_real *y = random_values(M * n_out);
    mtf_real *parts = random_values(M * n_out);
    mtf_real *work = random_values((int64_t)mtf_packed_work(n_sum));
    mtf_product p = {.precision = precision,
                     .form = mtf_weight_form(w, use, precision),
                     .m = M,
                     .n = n_out,
                     .k = n_sum,
                     .n1 = n_out,
                     .ldy = n_out,
                     .xi = n_sum,
                     .xp = 1,
                     .epilogue = {.bias = bias}};
    CHECK(p.form != NULL);
    mtf_packed_product(y, x, &p, work);
    for (int64_t i = 0; i < M; i += 11) {
        for (int64_t j = 0; j < n_out; j += 7) {
            double sum = (double)bias[j];
            for (int64_t l = 0; l < n_sum; l++) {
                const double factor = use == MTF_USE_Y ? element(w, j, l) : element(w, l, j);
                sum += rounded((double)x[i * n_sum + l], precision) * rounded(factor, precision);
            }
            CHECK_CLOSE(y[i * n_out + j], sum, tolerance(n_sum, precision));
        }
    }
    /* columns and rows by pieces */
    for (int64_t first = 0; first < M; first += 16) {
        p.m = M - first < 16 ? M - first : 16;
        for (p.n0 = 0; p.n0 < n_out; p.n0 = p.n1) {
            p.n1 = p.n0 + 96 < n_out ? p.n0 + 96 : n_out;
            mtf_packed_product(parts + first * n_out, x + first * n_sum, &p, work);
        }
    }
    CHECK_BITS(parts, y, (size_t)(M * n_out) * sizeof *y);
    mtf_free(x), mtf_free(bias), mtf_free(y), mtf_free(parts), mtf_free(work);
}

/* dW = dy^T x over panels of x, against sums in double. */
static void check_dw(int64_t n, int64_t k, mtf_precision precision)
{
    mtf_real *x = random_values(M * k);
    mtf_real *dy = random_values(M * n);
    mtf_real *dw = random_values(n * k);
    mtf_real *before = random_values(n * k);
    mtf_real *panels = random_values((int64_t)mtf_packed_x_size(M, k, precision));
    mtf_real *work = random_values((int64_t)mtf_packed_work(M));
    const mtf_form form = {.panels = panels};
    const mtf_product p = {.precision = precision,
                           .form = &form,
                           .m = n,
                           .n = k,
                           .k = M,
                           .n1 = k,
                           .ldy = k,
                           .xi = 1,
                           .xp = n,
                           .epilogue = {.add = 1}};
    memcpy(before, dw, (size_t)(n * k) * sizeof *dw);
    mtf_packed_x_fill(panels, x, M, k, precision, 0, (k + MTF_PANEL - 1) / MTF_PANEL);
    mtf_packed_product(dw, dy, &p, work);
    for (int64_t i = 0; i < n; i += 13) {
        for (int64_t j = 0; j < k; j += 5) {
            double sum = (double)before[i * k + j];
            for (int64_t m = 0; m < M; m++) {
                sum += rounded((double)dy[m * n + i], precision) *
                       rounded((double)x[m * k + j], precision);
            }
            CHECK_CLOSE(dw[i * k + j], sum, tolerance(M, precision));
        }
    }
    mtf_free(x), mtf_free(dy), mtf_free(dw), mtf_free(before), mtf_free(panels), mtf_free(work);
}

static void check_level(void)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t n = shapes[s].n;
        const int64_t k = shapes[s].k;
        mtf_real *master = random_values(n * k);
        for (int layout = 0; layout < 2; layout++) {
            mtf_weight w = weight_of(master, n, k, (mtf_layout)layout);
            for (int p = 0; p < MTF_N_PRECISIONS; p++) {
                fill(&w, MTF_USE_Y, (mtf_precision)p);
                check_use(&w, MTF_USE_Y, (mtf_precision)p, n, k);
                if (p != MTF_PRECISION_INT8) {
                    fill(&w, MTF_USE_DX, (mtf_precision)p);
                    check_use(&w, MTF_USE_DX, (mtf_precision)p, k, n);
                }
            }
            mtf_forms_free(&w);
        }
        check_dw(n, k, MTF_PRECISION_F32);
        check_dw(n, k, MTF_PRECISION_BF16);
        mtf_free(master);
    }
}

MTF_TEST(products_at_every_level)
{
    mtf_error err = {0};
    mtf_runtime_info info;
    char names[MTF_KERNELS_LIST];
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
    mtf_runtime_get_info(&info);
    (void)snprintf(names, sizeof names, "%s", info.isa_available);
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
        if (CHECK_MSG(mtf_runtime_init(name, &err) == MTF_OK, err.text)) {
            check_level();
        }
    }
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
}

MTF_TEST(a_form_is_of_one_version)
{
    mtf_error err = {0};
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
    mtf_real *master = random_values(256 * 256);
    mtf_weight w = weight_of(master, 256, 256, MTF_LAYOUT_OUT_IN);
    CHECK(mtf_weight_form(&w, MTF_USE_Y, MTF_PRECISION_BF16) == NULL);
    fill(&w, MTF_USE_Y, MTF_PRECISION_BF16);
    CHECK(mtf_weight_form(&w, MTF_USE_Y, MTF_PRECISION_BF16) != NULL);
    CHECK(mtf_weight_form(&w, MTF_USE_DX, MTF_PRECISION_BF16) == NULL);
    const void *panels = w.forms[MTF_USE_Y][MTF_PRECISION_BF16].panels;
    w.version++;
    CHECK(mtf_weight_form(&w, MTF_USE_Y, MTF_PRECISION_BF16) == NULL);
    fill(&w, MTF_USE_Y, MTF_PRECISION_BF16);
    CHECK(w.forms[MTF_USE_Y][MTF_PRECISION_BF16].panels == panels); /* the same memory */
    mtf_memory_fail_after(1);
    CHECK(mtf_form_reserve(&w, MTF_USE_Y, MTF_PRECISION_INT8, &err) == MTF_ERR_MEMORY);
    mtf_memory_fail_after(0);
    CHECK(w.forms[MTF_USE_Y][MTF_PRECISION_INT8].panels == NULL);
    mtf_forms_free(&w);
    mtf_free(master);
}

MTF_TEST(small_weights_stay_in_fp32)
{
    CHECK_INT(mtf_precision_of(2, 384, MTF_PRECISION_INT8), MTF_PRECISION_F32);
    CHECK_INT(mtf_precision_of(64, MTF_INT8_MOST_TERMS, MTF_PRECISION_INT8), MTF_PRECISION_INT8);
    CHECK_INT(mtf_precision_of(64, MTF_INT8_MOST_TERMS + 1, MTF_PRECISION_INT8), MTF_PRECISION_F32);
    CHECK_INT(mtf_precision_of(64, MTF_INT8_MOST_TERMS + 1, MTF_PRECISION_BF16),
              MTF_PRECISION_BF16);
    CHECK_INT(mtf_precision_of(31, 4096, MTF_PRECISION_BF16), MTF_PRECISION_F32);
    CHECK_INT(mtf_precision_of(255, 256, MTF_PRECISION_BF16), MTF_PRECISION_F32);
    CHECK_INT(mtf_precision_of(256, 256, MTF_PRECISION_BF16), MTF_PRECISION_BF16);
    CHECK(!mtf_packs(2, 384, MTF_PRECISION_BF16) && mtf_packs(384, 384, MTF_PRECISION_INT8));
}
