/* The products of a linear layer: right, and a row's bits independent of the number of rows.
 *
 * The short list runs everywhere; MTF_TEST_LONG=1 looks at every M from 1 to 1200.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/alloc.h"
#include "blas/check.h"
#include "blas/gemm.h"
#include "tolerances.h"

#include <pthread.h>

#define MOST_ROWS 1200

typedef struct shape {
    int64_t n, k;
} shape;

static const shape shapes[] = {
    {384, 384}, {384, 1536}, {1536, 384}, {768, 768}, {768, 3072}, {3072, 768}, {512, 128},
    {511, 128}, {513, 128},  {128, 512},  {256, 256}, {256, 255},  {4096, 16},  {16, 4096},
    {65536, 1}, {17, 3856},  {13, 384},   {48, 48},   {192, 48},   {2, 384},    {1, 7},
};

/* Loads OpenBLAS once when the build has one. */
static int have_blas(void)
{
#if MTF_WITH_OPENBLAS
    mtf_error err = {MTF_OK, ""};
    static int asked;
    static int have;
    if (!asked) {
        asked = 1;
        have = MTF_TEST_OPENBLAS_PATH[0] != 0 &&
               mtf_runtime_load_blas(MTF_TEST_OPENBLAS_PATH, &err) == MTF_OK;
        CHECK_MSG(MTF_TEST_OPENBLAS_PATH[0] == 0 || have, err.text);
    }
    return have;
#else
    return 0;
#endif
}

static void prepare(void)
{
    mtf_error err;
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
    (void)have_blas();
}

static float *new_random(int64_t n)
{
    float *x = mtf_alloc_array((size_t)n, sizeof *x);
    CHECK(x != NULL);
    test_fill_f32(x, (size_t)n, -1.0, 1.0);
    return x;
}

static float weight_at(const float *w, int64_t out, int64_t in, shape s, mtf_layout layout)
{
    return layout == MTF_LAYOUT_OUT_IN ? w[out * s.k + in] : w[in * s.n + out];
}

static void check_values(shape s, mtf_layout layout, int64_t m, int add)
{
    float *x = new_random(m * s.k);
    float *dy = new_random(m * s.n);
    float *w = new_random(s.n * s.k);
    float *y = new_random(m * s.n);
    float *dx = new_random(m * s.k);
    float *dw = new_random(s.n * s.k);
    float *before = mtf_alloc_array((size_t)(s.n * s.k), sizeof *before);
    float *work = mtf_alloc_array(mtf_linear_work(s.n, s.k), sizeof *work);
    memcpy(before, dw, (size_t)(s.n * s.k) * sizeof *dw);
    float *y_before = new_random(m * s.n);
    memcpy(y_before, y, (size_t)(m * s.n) * sizeof *y);
    float *dx_before = new_random(m * s.k);
    memcpy(dx_before, dx, (size_t)(m * s.k) * sizeof *dx);

    mtf_linear_y(y, x, w, m, s.n, s.k, layout, add, work);
    mtf_linear_dx(dx, dy, w, m, s.n, s.k, layout, add, work);
    for (int64_t t = 0; t < mtf_linear_dw_tiles(s.n, s.k, layout); t++) {
        mtf_linear_dw(dw, dy, x, m, s.n, s.k, layout, t, add);
    }
    for (int trial = 0; trial < 300; trial++) {
        int64_t i = test_integer(0, m - 1);
        int64_t out = test_integer(0, s.n - 1);
        int64_t in = test_integer(0, s.k - 1);
        double want = add ? y_before[i * s.n + out] : 0;
        double want_dx = add ? dx_before[i * s.k + in] : 0;
        int64_t at = layout == MTF_LAYOUT_OUT_IN ? out * s.k + in : in * s.n + out;
        double want_dw = add ? before[at] : 0;
        for (int64_t p = 0; p < s.k; p++) {
            want += (double)x[i * s.k + p] * weight_at(w, out, p, s, layout);
        }
        for (int64_t p = 0; p < s.n; p++) {
            want_dx += (double)dy[i * s.n + p] * weight_at(w, p, in, s, layout);
        }
        for (int64_t p = 0; p < m; p++) {
            want_dw += (double)dy[p * s.n + out] * x[p * s.k + in];
        }
        CHECK_CLOSE(y[i * s.n + out], want, TOLERANCE_GEMM(s.k));
        CHECK_CLOSE(dx[i * s.k + in], want_dx, TOLERANCE_GEMM(s.n));
        CHECK_CLOSE(dw[at], want_dw, TOLERANCE_GEMM(m));
    }
    mtf_free(x), mtf_free(dy), mtf_free(w), mtf_free(y), mtf_free(dx), mtf_free(dw);
    mtf_free(before), mtf_free(work), mtf_free(y_before), mtf_free(dx_before);
}

MTF_TEST(products_have_right_values)
{
    static const int64_t rows[] = {1, 3, 16, 37};
    prepare();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int layout = 0; layout < 2; layout++) {
            for (int add = 0; add < 2; add++) {
                check_values(shapes[i], (mtf_layout)layout, rows[(i + (size_t)add) % 4], add);
            }
        }
    }
}

MTF_TEST(no_rows_give_a_zero_weight_gradient)
{
    prepare();
    float dw[512 * 128];
    test_fill_f32(dw, 512 * 128, 1.0, 2.0);
    for (int64_t t = 0; t < mtf_linear_dw_tiles(512, 128, MTF_LAYOUT_OUT_IN); t++) {
        mtf_linear_dw(dw, NULL, NULL, 0, 512, 128, MTF_LAYOUT_OUT_IN, t, 0);
    }
    for (int i = 0; i < 512 * 128; i++) {
        if (!CHECK(dw[i] == 0)) {
            return;
        }
    }
}

/* Every row count gives the rows that the largest gives; y and dx, written or added to. */
static void check_rows(shape s, mtf_layout layout, int add, const int64_t *counts, size_t n_counts)
{
    const int64_t wide = s.n > s.k ? s.n : s.k;
    const int64_t most = counts[n_counts - 1];
    float *x = new_random(most * wide);
    float *w = new_random(s.n * s.k);
    float *whole[2] = {new_random(most * wide), new_random(most * wide)};
    float *start = new_random(most * wide);
    float *part = new_random(most * wide);
    float *work = mtf_alloc_array(mtf_linear_work(s.n, s.k), sizeof *work);
    memcpy(whole[0], start, (size_t)(most * wide) * sizeof *start);
    memcpy(whole[1], start, (size_t)(most * wide) * sizeof *start);
    mtf_linear_y(whole[0], x, w, most, s.n, s.k, layout, add, work);
    mtf_linear_dx(whole[1], x, w, most, s.n, s.k, layout, add, work);
    for (size_t i = 0; i < n_counts; i++) {
        const int64_t m = counts[i];
        const int64_t first = i % 2 ? most - m : 0; /* a row's place does not matter either */
        const int64_t ny = s.n;
        const int64_t nx = s.k;
        memcpy(part, start + first * ny, (size_t)(m * ny) * sizeof *start);
        mtf_linear_y(part, x + first * nx, w, m, s.n, s.k, layout, add, work);
        int same = CHECK_BITS(part, whole[0] + first * ny, (size_t)(m * ny) * sizeof *part);
        memcpy(part, start + first * nx, (size_t)(m * nx) * sizeof *start);
        mtf_linear_dx(part, x + first * ny, w, m, s.n, s.k, layout, add, work);
        same &= CHECK_BITS(part, whole[1] + first * nx, (size_t)(m * nx) * sizeof *part);
        if (!same) {
            fprintf(stderr, "    N=%d K=%d M=%d\n", (int)s.n, (int)s.k, (int)m);
            break;
        }
    }
    mtf_free(x), mtf_free(w), mtf_free(whole[0]), mtf_free(whole[1]), mtf_free(start);
    mtf_free(part), mtf_free(work);
}

MTF_TEST(rows_do_not_depend_on_row_count)
{
    static const int64_t few[] = {1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 64, 65, 129, 178, 350};
    static int64_t all[MOST_ROWS];
    const int is_long = getenv("MTF_TEST_LONG") != NULL;
    prepare();
    for (int i = 0; i < MOST_ROWS; i++) {
        all[i] = i + 1;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int add = (int)(test_random() % 2);
        if (is_long) {
            check_rows(shapes[i], MTF_LAYOUT_OUT_IN, add, all, MOST_ROWS);
        } else if (shapes[i].n * shapes[i].k < 600000) {
            check_rows(shapes[i], MTF_LAYOUT_OUT_IN, add, few, sizeof few / sizeof *few);
            check_rows(shapes[i], MTF_LAYOUT_IN_OUT, !add, few, sizeof few / sizeof *few);
        }
    }
}

/* With a BLAS whose rows depend on the rows around them, our kernels take over. */
MTF_TEST(a_blas_that_mixes_rows_is_not_used_for_them)
{
    if (!have_blas()) {
        SKIP("no OpenBLAS in this build");
    }
    static const int64_t few[] = {1, 16, 63, 64, 65, 130};
    mtf_gemm_distrust_rows();
    CHECK(!mtf_gemm_rows_hold());
    check_rows((shape){384, 384}, MTF_LAYOUT_OUT_IN, 0, few, 6);
    check_rows((shape){512, 128}, MTF_LAYOUT_IN_OUT, 1, few, 6);
    check_values((shape){384, 384}, MTF_LAYOUT_OUT_IN, 150, 1);
    mtf_error err;
    CHECK(mtf_gemm_check_rows(&err) == MTF_OK);
}

/* Two threads, each with its own product over and over; every result has the first one's bits. */
typedef struct repeat {
    const float *x, *w, *want;
    float *y, *work;
    shape s;
    int64_t m;
    int same;
} repeat;

static void *repeat_main(void *argument)
{
    repeat *r = argument;
    r->same = 1;
    for (int i = 0; i < 20; i++) {
        mtf_linear_y(r->y, r->x, r->w, r->m, r->s.n, r->s.k, MTF_LAYOUT_OUT_IN, 0, r->work);
        r->same &= memcmp(r->y, r->want, (size_t)(r->m * r->s.n) * sizeof *r->y) == 0;
    }
    return NULL;
}

MTF_TEST(concurrent_calls_have_the_same_bits)
{
    prepare();
    repeat both[2];
    pthread_t threads[2];
    for (int t = 0; t < 2; t++) {
        const shape s = t ? (shape){1536, 384} : (shape){384, 384};
        const int64_t m = t ? 100 : 173;
        float *x = new_random(m * s.k);
        float *w = new_random(s.n * s.k);
        float *want = new_random(m * s.n);
        float *work = mtf_alloc_array(mtf_linear_work(s.n, s.k), sizeof *work);
        mtf_linear_y(want, x, w, m, s.n, s.k, MTF_LAYOUT_OUT_IN, 0, work);
        both[t] = (repeat){x, w, want, new_random(m * s.n), work, s, m, 0};
    }
    for (int t = 0; t < 2; t++) {
        CHECK(pthread_create(&threads[t], NULL, repeat_main, &both[t]) == 0);
    }
    for (int t = 0; t < 2; t++) {
        CHECK(pthread_join(threads[t], NULL) == 0);
        CHECK(both[t].same);
        mtf_free((void *)both[t].x), mtf_free((void *)both[t].w), mtf_free((void *)both[t].want);
        mtf_free(both[t].y), mtf_free(both[t].work);
    }
}

MTF_TEST(tiles_cover_the_weight_once)
{
    static float dw[700 * 900];
    static float one_dy[700];
    static float one_x[900];
    prepare();
    for (int i = 0; i < 900; i++) {
        one_dy[i < 700 ? i : 0] = 1;
        one_x[i] = 1;
    }
    for (int layout = 0; layout < 2; layout++) {
        memset(dw, 0, sizeof dw);
        int64_t n_tiles = mtf_linear_dw_tiles(700, 900, (mtf_layout)layout);
        CHECK(n_tiles >= 8);
        for (int64_t t = 0; t < n_tiles; t++) {
            mtf_linear_dw(dw, one_dy, one_x, 1, 700, 900, (mtf_layout)layout, t, 1);
        }
        for (int i = 0; i < 700 * 900; i++) {
            if (!CHECK(dw[i] == 1)) {
                break;
            }
        }
    }
}

MTF_TEST(a_wrong_library_is_refused)
{
    mtf_error err = {MTF_OK, ""};
    (void)have_blas();
    CHECK(mtf_runtime_load_blas("/nonexistent/libscipy_openblas.so", &err) < 0);
    CHECK(err.text[0] != 0);
    mtf_runtime_info info;
    mtf_runtime_get_info(&info);
    CHECK(strncmp(info.blas, have_blas() ? "openblas 0" : "reference", 9) == 0);
}
