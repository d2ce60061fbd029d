/* Shared by the kernel tests: the tables of all levels that this machine has, and buffers with
 * guards, so that a read past the end brings a NaN in and a write past the end is seen.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNEL_LEVELS_H
#define MTF_KERNEL_LEVELS_H

#include "test.h"

#include "base/alloc.h"
#include "kernels/kernels.h"
#include "tolerances.h"

#define MAX_LEVELS 8
#define GUARD      16 /* values before and after */

#ifdef MTF_AMX_EMULATED
#include "amx_level.h" /* one more level, for CPUs without tiles */
#endif

/* Fills tables[0] with the reference and the others with each further level; returns how many. */
static inline int fill_levels(mtf_kernels tables[MAX_LEVELS])
{
    char names[MTF_KERNELS_LIST];
    int n = 0;
    mtf_kernels_list(names, sizeof names, 1);
    for (char *name = strtok(names, " "); name != NULL && n < MAX_LEVELS;
         name = strtok(NULL, " ")) {
        CHECK(mtf_kernels_fill(&tables[n], name));
        n++;
    }
#ifdef MTF_AMX_EMULATED
    n = add_emulated_amx(tables, n);
#endif
    return n;
}

/* data (n) inside a block whose guards are NaNs; `shift` values off the block's alignment. */
typedef struct buffer {
    mtf_real *block;
    mtf_real *data;
    size_t n, n_block;
} buffer;

static inline buffer buffer_new(int64_t n, int shift)
{
    buffer b;
    b.n = (size_t)n;
    b.n_block = b.n + 2 * GUARD + 8;
    b.block = mtf_alloc_array(b.n_block, sizeof *b.block);
    CHECK(b.block != NULL);
    for (size_t i = 0; i < b.n_block; i++) {
        b.block[i] = (mtf_real)NAN;
    }
    b.data = b.block + GUARD + shift;
    return b;
}

static inline buffer buffer_random(int64_t n, int shift, double low, double high)
{
    buffer b = buffer_new(n, shift);
    test_fill(b.data, b.n, low, high);
    return b;
}

static inline buffer buffer_copy(buffer from, int shift)
{
    buffer b = buffer_new((int64_t)from.n, shift);
    for (size_t i = 0; i < from.n; i++) {
        b.data[i] = from.data[i];
    }
    return b;
}

/* Frees; every value outside data must still be a NaN. */
static inline void buffer_free(buffer b)
{
    for (size_t i = 0; i < b.n_block; i++) {
        const mtf_real *at = b.block + i;
        if ((at < b.data || at >= b.data + b.n) && !CHECK_MSG(isnan(*at), "wrote outside")) {
            break;
        }
    }
    mtf_free(b.block);
}

static inline void check_close_all(const mtf_real *got, const mtf_real *want, int64_t n,
                                   double tolerance, const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        if (!CHECK_CLOSE(got[i], want[i], tolerance * (1.0 + fabs((double)want[i])))) {
            fprintf(stderr, "    %s at %" PRId64 " of %" PRId64 "\n", what, i, n);
            return;
        }
    }
}

/* The sizes of the rule: 1, lane - 1, lane, lane + 1, odd ones, real ones. */
static const int64_t test_sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 65, 384};
#define N_TEST_SIZES ((int)(sizeof test_sizes / sizeof *test_sizes))

#endif
