/* Attention of one head as the window narrows: seconds of a window layer's attention as a share of a
 * layer's that sees all, forward and backward, at every level; by pairs of a query and a key beside it.
 *
 *   bench_attention [tokens=4096] [each_side=64]
 *
 * Both are called in turn, so that a busy moment hits both alike; the least time of many counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD    64
#define REPEATS 5

enum { FULL, WINDOW, N_KINDS };

/* Seconds of this thread: what others take of the machine does not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* (n) uniform in -0.5 .. 0.5 */
static float *random_values(int64_t n)
{
    float *values = mtf_alloc((size_t)n * sizeof *values);
    uint32_t state = 1;
    for (int64_t i = 0; values != NULL && i < n; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = (float)(state >> 8) / 16777216.0F - 0.5F;
    }
    return values;
}

/* Least seconds of each kind, forward or backward. */
static void measure(const mtf_kernels *table, mtf_attention_args *a, int64_t each_side,
                    int backward, double seconds[N_KINDS])
{
    for (int r = 0; r < REPEATS; r++) {
        for (int kind = FULL; kind < N_KINDS; kind++) {
            a->left = a->right = kind == FULL ? -1 : each_side;
            if (backward) {
                table->attention_fwd(a); /* out and lse of this kind */
            }
            const double start = now();
            if (backward) {
                table->attention_bwd(a);
            } else {
                table->attention_fwd(a);
            }
            const double took = now() - start;
            seconds[kind] = r == 0 || took < seconds[kind] ? took : seconds[kind];
        }
    }
}

int main(int argc, char **argv)
{
    const int64_t n = argc > 1 ? strtoll(argv[1], NULL, 10) : 4096;
    const int64_t each_side = argc > 2 ? strtoll(argv[2], NULL, 10) : 64;
    if (n <= 0 || each_side < 0) {
        fprintf(stderr, "usage: bench_attention [tokens] [each_side]\n");
        return 2;
    }
    /* q, k, v, out, dout, dq, dk, dv (N,D), then lse (N) and work */
    float *values = random_values(n * (8 * HEAD + 1) + (int64_t)mtf_attention_work(HEAD));
    if (values == NULL) {
        return 1;
    }
    float *part[9];
    for (int i = 0; i < 9; i++) {
        part[i] = values + i * n * HEAD;
    }
    mtf_attention_args a = {.q = part[0],
                            .k = part[1],
                            .v = part[2],
                            .ldq = HEAD,
                            .ldk = HEAD,
                            .ldv = HEAD,
                            .out = part[3],
                            .ldo = HEAD,
                            .lse = part[8],
                            .ld_lse = 1,
                            .lq = n,
                            .lk = n,
                            .d = HEAD,
                            .scale = 0.125F,
                            .work = part[8] + n,
                            .dout = part[4],
                            .dq = part[5],
                            .dk = part[6],
                            .dv = part[7],
                            .left = each_side,
                            .right = each_side};
    const double pairs = (double)mtf_attention_pairs(&a) / ((double)n * (double)n);
    printf("%" PRId64 " tokens, %" PRId64 " keys on each side: %.1f %% of the pairs\n", n,
           each_side, 100 * pairs);
    char names[MTF_KERNELS_LIST];
    mtf_kernels_list(names, sizeof names, 1);
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
        mtf_kernels table;
        if (!mtf_kernels_fill(&table, name) || strcmp(name, "ref") == 0) {
            continue; /* the reference is here to be read */
        }
        for (int backward = 0; backward <= 1; backward++) {
            double seconds[N_KINDS];
            measure(&table, &a, each_side, backward, seconds);
            printf("%-12s %-8s full %8.2f ms, window %8.2f ms: %.1f %%\n", name,
                   backward ? "backward" : "forward", 1e3 * seconds[FULL], 1e3 * seconds[WINDOW],
                   100 * seconds[WINDOW] / seconds[FULL]);
        }
    }
    mtf_free(values);
    return 0;
}
