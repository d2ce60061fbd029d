/* Sums over the places of a window, every level against the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

enum { TAPS = 9 };

static void check_taps(const mtf_kernels *ref, const mtf_kernels *level, int64_t c, int64_t n)
{
    buffer x = buffer_random(TAPS * c, 1, -1.0, 1.0);
    buffer w = buffer_random(TAPS * c, 2, -1.0, 1.0);
    buffer y = buffer_random(c, 3, -1.0, 1.0);
    buffer want = buffer_copy(y, 0);
    buffer sums = buffer_random(TAPS * c, 5, -1.0, 1.0);
    buffer want_sums = buffer_copy(sums, 0);
    const mtf_real *from[TAPS], *weights[TAPS];
    mtf_real *to[TAPS], *want_to[TAPS];
    for (int t = 0; t < TAPS; t++) {
        from[t] = x.data + (TAPS - 1 - t) * c;
        weights[t] = w.data + t * c;
        to[t] = sums.data + t * c;
        want_to[t] = want_sums.data + t * c;
    }
    for (int add = 0; add < 2; add++) {
        level->taps_sum(y.data, from, weights, n, c, add);
        ref->taps_sum(want.data, from, weights, n, c, add);
        check_close_all(y.data, want.data, c, TOLERANCE_REDUCTION(n), "sum over taps");
    }
    level->taps_add(to, from, w.data, n, c);
    ref->taps_add(want_to, from, w.data, n, c);
    check_close_all(sums.data, want_sums.data, TAPS * c, TOLERANCE_REDUCTION(n), "sums of taps");
    buffer_free(x), buffer_free(w), buffer_free(y), buffer_free(want), buffer_free(sums);
    buffer_free(want_sums);
}

MTF_TEST(taps_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            for (int64_t n = 0; n <= TAPS; n += 3) {
                check_taps(&tables[0], &tables[l], test_sizes[s], n);
            }
        }
    }
}
