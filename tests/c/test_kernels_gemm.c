/* The product kernels of every level: values against double, rows alone, strides, added to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

typedef void (*gemm_fn)(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t ldx, const mtf_real *w,
                        int64_t ldw, int64_t m, int64_t n, int64_t k, int add);

enum form { NT, NN, TN };

static gemm_fn slot(const mtf_kernels *table, enum form form)
{
    return form == NT ? table->gemm_nt : form == NN ? table->gemm_nn : table->gemm_tn;
}

static void check_product(const mtf_kernels *table, enum form form, int64_t m, int64_t n, int64_t k,
                          int add)
{
    const gemm_fn gemm = slot(table, form);
    const int64_t ldy = n + 2;
    const int64_t ldx = (form == TN ? m : k) + 1;
    const int64_t ldw = (form == NT ? k : n) + 3;
    buffer x = buffer_random((form == TN ? k : m) * ldx, 1, -1.0, 1.0);
    buffer w = buffer_random((form == NT ? n : k) * ldw, 3, -1.0, 1.0);
    buffer y = buffer_random(m * ldy, 5, -1.0, 1.0);
    buffer before = buffer_copy(y, 0);
    gemm(y.data, ldy, x.data, ldx, w.data, ldw, m, n, k, add);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double want = add ? (double)before.data[i * ldy + j] : 0;
            for (int64_t p = 0; p < k; p++) {
                want += (double)x.data[form == TN ? p * ldx + i : i * ldx + p] *
                        (double)w.data[form == NT ? j * ldw + p : p * ldw + j];
            }
            CHECK_CLOSE(y.data[i * ldy + j], want, TOLERANCE_GEMM(k));
        }
        /* what lies between the rows is not touched */
        CHECK_BITS(y.data + i * ldy + n, before.data + i * ldy + n, 2 * sizeof *y.data);
    }
    /* the last row alone, and the last column alone, have the same bits */
    buffer alone = buffer_new(n, 0);
    memcpy(alone.data, before.data + (m - 1) * ldy, alone.n * sizeof *alone.data);
    gemm(alone.data, n, x.data + (form == TN ? m - 1 : (m - 1) * ldx), ldx, w.data, ldw, 1, n, k,
         add);
    CHECK_BITS(alone.data, y.data + (m - 1) * ldy, alone.n * sizeof *alone.data);
    mtf_real last = before.data[(m - 1) * ldy + n - 1];
    gemm(&last, 1, x.data + (form == TN ? m - 1 : (m - 1) * ldx), ldx,
         w.data + (form == NT ? (n - 1) * ldw : n - 1), ldw, 1, 1, k, add);
    CHECK_BITS(&last, y.data + (m - 1) * ldy + n - 1, sizeof last);
    buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(before), buffer_free(alone);
}

MTF_TEST(products_of_all_small_shapes)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int form = NT; form <= TN; form++) {
            for (int64_t m = 1; m <= 8; m++) {
                for (int64_t n = 1; n <= 18; n += n < 5 ? 1 : 4) {
                    for (int64_t k = 0; k <= 17; k += k < 9 ? 1 : 4) {
                        check_product(&tables[l], (enum form)form, m, n, k, (int)((m + n + k) % 2));
                    }
                }
            }
        }
    }
}

MTF_TEST(products_of_real_shapes)
{
    static const int64_t shapes[][3] = {{37, 13, 384}, {37, 384, 13}, {13, 384, 37}, {2, 384, 100},
                                        {100, 2, 384}, {50, 192, 48}, {50, 48, 192}, {19, 64, 384}};
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (int form = NT; form <= TN; form++) {
                check_product(&tables[l], (enum form)form, shapes[s][0], shapes[s][1], shapes[s][2],
                              (int)(s % 2));
            }
        }
    }
}

MTF_TEST(a_row_keeps_its_bits_among_any_number)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    enum { MOST = 60, N = 13, K = 75 };
    buffer x = buffer_random(MOST * K, 1, -1.0, 1.0);
    buffer w = buffer_random(N * K, 1, -1.0, 1.0);
    buffer all = buffer_new(MOST * N, 0);
    buffer some = buffer_new(MOST * N, 0);
    for (int l = 0; l < n_levels; l++) {
        for (int form = NT; form <= NN; form++) {
            const gemm_fn gemm = slot(&tables[l], (enum form)form);
            const int64_t ldw = form == NT ? K : N;
            gemm(all.data, N, x.data, K, w.data, ldw, MOST, N, K, 0);
            for (int64_t m = 1; m < MOST; m++) {
                gemm(some.data, N, x.data, K, w.data, ldw, m, N, K, 0);
                CHECK_BITS(some.data, all.data, (size_t)(m * N) * sizeof *all.data);
            }
        }
    }
    buffer_free(x), buffer_free(w), buffer_free(all), buffer_free(some);
}

MTF_TEST(not_a_number_stays_in_its_row)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        buffer x = buffer_random(7 * 9, 1, -1.0, 1.0);
        buffer w = buffer_random(9 * 9, 1, -1.0, 1.0);
        buffer y = buffer_new(7 * 9, 1);
        x.data[3 * 9 + 8] = (mtf_real)NAN;
        for (int form = NT; form <= NN; form++) {
            slot(&tables[l], (enum form)form)(y.data, 9, x.data, 9, w.data, 9, 7, 9, 9, 0);
            for (int i = 0; i < 63; i++) {
                CHECK(!isnan(y.data[i]) == (i / 9 != 3));
            }
        }
        buffer_free(x), buffer_free(w), buffer_free(y);
    }
}
