/* The largest of rows in bf16: every level has the reference's bits, for all values there are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

#include "base/bf16.h"

enum { ALL = 1 << 16, ROWS = 9 };

MTF_TEST(the_order_is_that_of_values)
{
    for (int64_t i = 0; i < ALL; i += 7) {
        const uint16_t a = (uint16_t)i;
        const uint16_t b = (uint16_t)(i * 7919 + 13);
        const float x = mtf_bf16_value(a);
        const float y = mtf_bf16_value(b);
        CHECK(mtf_bf16_of_order(mtf_bf16_order(a)) == a);
        if (isnan(x) || isnan(y)) {
            CHECK(!isnan(x) || isnan(y) || mtf_bf16_order(a) > mtf_bf16_order(b));
        } else if (x != y) {
            CHECK((x < y) == (mtf_bf16_order(a) < mtf_bf16_order(b)));
        }
    }
}

MTF_TEST(levels_have_the_bits_of_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    uint16_t *values = mtf_alloc_array(ROWS * ALL, sizeof *values);
    uint16_t *want = mtf_alloc_array(ALL + 1, sizeof *want);
    uint16_t *y = mtf_alloc_array(ALL + 1, sizeof *y);
    const uint16_t *rows[ROWS];
    for (int64_t i = 0; i < (int64_t)ROWS * ALL; i++) {
        values[i] = (uint16_t)(i * (1 + 2 * (i / ALL)) + i / ALL * 977);
    }
    for (int t = 0; t < ROWS; t++) {
        rows[t] = values + t * ALL;
    }
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s <= N_TEST_SIZES; s++) {
            const int64_t c = s < N_TEST_SIZES ? test_sizes[s] : ALL;
            for (int64_t n = 1; n <= ROWS; n += 4) {
                y[c] = 0x1234;
                tables[0].largest_halves(want, rows, n, c);
                tables[l].largest_halves(y, rows, n, c);
                CHECK_BITS(y, want, (size_t)c * sizeof *y);
                CHECK(y[c] == 0x1234);
            }
        }
    }
    mtf_free(values);
    mtf_free(want);
    mtf_free(y);
}
