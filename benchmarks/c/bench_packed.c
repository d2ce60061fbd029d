/* Speed of one thread in products with weights: OpenBLAS and the packed products of every level, as a
 * share of the roof, which is OpenBLAS' sgemm of 2048^3 measured in between.
 *
 *   bench_packed PATH_OF_OPENBLAS [rows=23,128] [shape=1536x384] [cold]
 *
 * Candidates are called in turn, so that a busy moment hits all alike; the least time of many counts.
 * A packed product that a level takes over from the level below is not shown twice. `cold`: weights
 * change from call to call over WEIGHT_BYTES, as layers of a model do; else they are the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "blas/openblas.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_LEVELS     8
#define MAX_CANDIDATES 24
#define MAX_COPIES     256
#define WEIGHT_BYTES   (48 << 20)
#define SECONDS        0.12 /* for each candidate of a line */
#define ROOF_SIDE      2048
#define ROOF_SECONDS   0.25 /* between two looks at the roof */

enum kind { OPENBLAS, F32, BF16, INT8 };

/* One weight in one form; `sums` and `scale` for int8. */
typedef struct form {
    void *panels;
    float *scale; /* (N rounded up to panels) */
    int32_t *sums;
} form;

typedef struct candidate {
    char name[32];
    enum kind kind;
    const mtf_kernels *table;
    char *block; /* all forms, in one piece as a model keeps them */
    form forms[MAX_COPIES];
    double best; /* seconds */
} candidate;

/* A line of the table: y (M,N) = x (M,K) . w (N,K)^T. */
typedef struct line {
    int64_t m, n, k;
    float *x, *y, *w, *work; /* (M,K), (M,N), (N,K), see mtf_packed_work() */
    int n_copies;
} line;

/* Seconds of this thread: what others take of the machine does not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes)
{
    void *block = mtf_alloc(bytes > 0 ? bytes : 1);
    if (block == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

static float *random_values(int64_t n)
{
    float *x = room((size_t)n * sizeof *x);
    uint32_t state = 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525U + 1013904223U;
        x[i] = (float)(state >> 8) / (float)(1 << 23) - 1;
    }
    return x;
}

/* Bytes of the scales and sums of int8, and of one form of any kind, in whole cache lines. */
static size_t column_bytes(const line *l)
{
    return (size_t)((l->n + MTF_PANEL - 1) / MTF_PANEL * MTF_PANEL) * sizeof(float);
}

static size_t form_bytes(const candidate *c, const line *l)
{
    static const size_t value[] = {sizeof(float), sizeof(float), sizeof(uint16_t), 1};
    return column_bytes(l) * (size_t)((l->k + 3) / 4) * value[c->kind] + 2 * column_bytes(l);
}

static form make_form(const candidate *c, const line *l, int copy)
{
    const int64_t panels = (l->n + MTF_PANEL - 1) / MTF_PANEL;
    char *at = c->block + (size_t)copy * form_bytes(c, l);
    form f;
    f.scale = (float *)(void *)at;
    f.sums = (int32_t *)(void *)(at + column_bytes(l));
    f.panels = at + 2 * column_bytes(l);
    if (c->kind == OPENBLAS) {
        memcpy(f.panels, l->w, (size_t)(l->n * l->k) * sizeof(float));
    } else if (c->kind == F32) {
        c->table->pack_f32(f.panels, l->w, l->k, 0, l->n, l->k, 0, panels);
    } else if (c->kind == BF16) {
        c->table->pack_bf16(f.panels, l->w, l->k, 0, l->n, l->k, 0, panels);
    } else {
        c->table->pack_int8(f.panels, f.scale, f.sums, l->w, l->k, 0, l->n, l->k, 0, panels);
    }
    return f;
}

static void call(const candidate *c, const line *l, int copy)
{
    static const mtf_epilogue plain = {NULL, NULL, MTF_ACT_NONE, 0};
    const form *f = &c->forms[copy];
    switch (c->kind) {
    case OPENBLAS:
        mtf_openblas_gemm(l->y, l->n, l->x, l->k, 0, f->panels, l->k, 1, l->m, l->n, l->k, 0);
        break;
    case F32:
        c->table->packed_f32(l->y, l->n, l->x, l->k, 1, f->panels, l->m, l->n, l->k, &plain,
                             l->work);
        break;
    case BF16:
        c->table->packed_bf16(l->y, l->n, l->x, l->k, 1, f->panels, l->m, l->n, l->k, &plain,
                              l->work);
        break;
    case INT8:
        c->table->packed_int8(l->y, l->n, l->x, l->k, 1, f->panels, f->scale, f->sums, l->m, l->n,
                              l->k, &plain, l->work);
        break;
    }
}

static line make_line(int64_t m, int64_t n, int64_t k, int cold)
{
    line l = {m,
              n,
              k,
              random_values(m * k),
              room((size_t)(m * n) * sizeof(float)),
              random_values(n * k),
              room(mtf_packed_work(k) * sizeof(float)),
              1};
    while (cold && l.n_copies < MAX_COPIES && l.n_copies * n * k * 4 < WEIGHT_BYTES) {
        l.n_copies++;
    }
    return l;
}

static void free_line(line l)
{
    mtf_free(l.x), mtf_free(l.y), mtf_free(l.w), mtf_free(l.work);
}

static double flop_rate(const line *l, double seconds)
{
    return 2e-9 * (double)(l->m * l->n * l->k) / seconds;
}

/* Seconds of one product at the roof. */
static double roof_seconds(void)
{
    static line l;
    if (l.m == 0) {
        l = make_line(ROOF_SIDE, ROOF_SIDE, ROOF_SIDE, 0);
    }
    const double start = now();
    mtf_openblas_gemm(l.y, l.n, l.x, l.k, 0, l.w, l.k, 1, l.m, l.n, l.k, 0);
    return now() - start;
}

/* Least seconds of one call of each candidate, in turn; returns those of the roof. */
static double measure(candidate *candidates, int n, const line *l)
{
    for (int c = 0; c < n; c++) {
        candidates[c].block = room((size_t)l->n_copies * form_bytes(&candidates[c], l));
        for (int copy = 0; copy < l->n_copies; copy++) {
            candidates[c].forms[copy] = make_form(&candidates[c], l, copy);
        }
        candidates[c].best = 1e9;
        call(&candidates[c], l, 0);
    }
    const double flops = 2.0 * (double)(l->m * l->n * l->k);
    const int repeats = l->n_copies > 1 ? l->n_copies : 1 + (int)(2e7 / flops);
    const double until = now() + SECONDS * n;
    double roof = roof_seconds();
    double looked = now();
    do {
        for (int c = 0; c < n; c++) {
            const double start = now();
            for (int r = 0; r < repeats; r++) {
                call(&candidates[c], l, r % l->n_copies);
            }
            const double each = (now() - start) / repeats;
            candidates[c].best = each < candidates[c].best ? each : candidates[c].best;
        }
        if (now() - looked > ROOF_SECONDS) {
            const double again = roof_seconds();
            roof = again < roof ? again : roof;
            looked = now();
        }
    } while (now() < until);
    for (int c = 0; c < n; c++) {
        mtf_free(candidates[c].block);
    }
    return 2e-9 * ROOF_SIDE * ROOF_SIDE * (double)ROOF_SIDE / roof;
}

/* OpenBLAS, then the packed products that each level brings. */
static int list_candidates(candidate *list, mtf_kernels tables[MAX_LEVELS])
{
    char names[MTF_KERNELS_LIST];
    mtf_kernels_list(names, sizeof names, 1);
    int n = 0;
    int level = 0;
    strcpy(list[n].name, "openblas");
    list[n++].kind = OPENBLAS;
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " "), level++) {
        mtf_kernels *t = &tables[level];
        if (level >= MAX_LEVELS || !mtf_kernels_fill(t, name) || level == 0) {
            continue; /* the reference is no candidate */
        }
        const int news[] = {0, t->packed_f32 != t[-1].packed_f32,
                            t->packed_bf16 != t[-1].packed_bf16,
                            t->packed_int8 != t[-1].packed_int8};
        static const char *const what[] = {"", "f32", "bf16", "int8"};
        for (int kind = F32; kind <= INT8; kind++) {
            if (news[kind] && n < MAX_CANDIDATES) {
                snprintf(list[n].name, sizeof list[n].name, "%s:%s", what[kind], name);
                list[n].kind = (enum kind)kind;
                list[n++].table = t;
            }
        }
    }
    return n;
}

static void show_shape(int64_t n, int64_t k, const char *rows, int cold, candidate *candidates,
                       int n_candidates)
{
    printf("\nweight (%" PRId64 ",%" PRId64 ")%s, %% of the roof\n%6s %12s", n, k,
           cold ? " from memory" : "", "rows", "GFLOP/s roof");
    for (int c = 0; c < n_candidates; c++) {
        printf(" %15s", candidates[c].name);
    }
    printf("\n");
    for (const char *at = rows; *at != 0; at += strcspn(at, ","), at += *at == ',') {
        line l = make_line(atoll(at), n, k, cold);
        const double top = measure(candidates, n_candidates, &l);
        printf("%6" PRId64 " %12.1f", l.m, top);
        for (int c = 0; c < n_candidates; c++) {
            printf(" %14.1f%%", 100 * flop_rate(&l, candidates[c].best) / top);
        }
        printf("\n");
        fflush(stdout);
        free_line(l);
    }
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][2] = {{384, 384},  {1536, 384}, {384, 1536},
                                        {1152, 384}, {768, 768},  {3072, 768}};
    static candidate candidates[MAX_CANDIDATES];
    static mtf_kernels tables[MAX_LEVELS];
    const char *rows = "1,8,23,64,128,256,512,1024";
    const char *only = "";
    int cold = 0;
    mtf_error err;
    if (argc < 2 || mtf_openblas_load(argv[1], &err) != MTF_OK) {
        fprintf(stderr, "usage: %s PATH_OF_OPENBLAS [rows=1,8,...] [shape=NxK] [cold]; %s\n",
                argv[0], argc < 2 ? "no path given" : err.text);
        return 2;
    }
    for (int a = 2; a < argc; a++) {
        cold = cold || strcmp(argv[a], "cold") == 0;
        rows = strncmp(argv[a], "rows=", 5) == 0 ? argv[a] + 5 : rows;
        only = strncmp(argv[a], "shape=", 6) == 0 ? argv[a] + 6 : only;
    }
    const int n = list_candidates(candidates, tables);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        char name[32];
        snprintf(name, sizeof name, "%" PRId64 "x%" PRId64, shapes[s][0], shapes[s][1]);
        if (*only == 0 || strcmp(only, name) == 0) {
            show_shape(shapes[s][0], shapes[s][1], rows, cold, candidates, n);
        }
    }
    return 0;
}
