/* What the loss of a language head takes on one thread, beside the step that it belongs to.
 *
 *   bench_vocabulary [rows=64] [level ...]
 *
 * A line: a model's vocabulary and width; microseconds a labelled row of cross entropy with its
 * gradient, of the head's three products (three times the one forward), and of the whole step at the
 * speed of that product: six operations a weight of the layers for every token of the backbone,
 * 1 / 0.15 of them a labelled row where words are masked, one where the next is told. The last
 * column: the loss as a share of the step. Loss and product in turn, the least time of many.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "kernels/kernels.h"
#include "losses/losses.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPEATS = 15, MOST_LEVELS = 8 };

typedef struct language_model {
    const char *name;
    int64_t n_words, width, n_layers, layer_weights;
    double tokens_a_row;
} language_model;

static const language_model MODELS[] = {
    {"MiniLM-L6, masked", 30522, 384, 6, 12 * 384 * 384, 1 / 0.15},
    {"BERT-base, masked", 30522, 768, 12, 12 * 768 * 768, 1 / 0.15},
    {"GPT-2, next word", 50257, 768, 12, 12 * 768 * 768, 1},
    {"Qwen3-0.6B, next word", 151936, 1024, 28, 1024 * (5120 + 9216), 1},
};

/* Seconds of this thread: what others take of the machine does not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *filled(int64_t n, float size)
{
    float *values = mtf_alloc_array((size_t)n, sizeof *values);
    for (int64_t i = 0; values != NULL && i < n; i++) {
        values[i] = size * (float)((i * 7919) % 2001 - 1000) / 1000.0F;
    }
    return values;
}

static double least(double a, double b)
{
    return a > 0 && a < b ? a : b;
}

static int show(const language_model *model, int64_t m, const mtf_kernels *table)
{
    const int64_t n = model->n_words, k = model->width;
    const int64_t whole = (n + MTF_PANEL - 1) / MTF_PANEL * MTF_PANEL;
    const mtf_epilogue plain = {.activation = MTF_ACT_NONE};
    const mtf_loss_kind *loss;
    mtf_error err;
    float *z = filled(m * n, 8), *dz = filled(m * n, 0), *x = filled(m * k, 1);
    float *y = filled(m * n, 0), *panels = filled(whole * k, 1);
    float *work = filled((int64_t)mtf_packed_work(k), 0);
    int32_t *labels = mtf_alloc_array((size_t)m, sizeof *labels);
    const int ready = z != NULL && dz != NULL && x != NULL && y != NULL && panels != NULL &&
                      work != NULL && labels != NULL &&
                      mtf_loss_find("cross_entropy", &loss, &err) == MTF_OK;
    double of_loss = 0, of_product = 0;
    for (int64_t i = 0; ready && i < m; i++) {
        labels[i] = (int32_t)(i * 104729 % n);
    }
    const mtf_loss_rows rows = {.dy = dz,
                                .y = z,
                                .targets = labels,
                                .m = m,
                                .n = n,
                                .scale = 1.0F / (float)m,
                                .settings = &MTF_LOSS_DEFAULTS};
    for (int r = 0; ready && r < REPEATS; r++) {
        double start = now();
        (void)loss->value_and_gradient(&rows);
        of_loss = least(of_loss, now() - start);
        start = now();
        table->packed_f32(y, n, x, k, 1, panels, m, n, k, &plain, work);
        of_product = least(of_product, now() - start);
    }
    if (ready) {
        const double row = 1e6 / (double)m;
        const double layers = (double)(model->n_layers * model->layer_weights);
        const double each = of_product / (double)(n * k); /* a weight and a row of all m */
        const double step = of_loss + 3 * of_product + 3 * each * layers * model->tokens_a_row;
        printf("| %s | %s | %" PRId64 " | %.0f | %.0f | %.0f | %.2f%% |\n", model->name, table->isa,
               n, row * of_loss, row * 3 * of_product, row * step, 100 * of_loss / step);
        fflush(stdout);
    }
    mtf_free(z), mtf_free(dz), mtf_free(x), mtf_free(y), mtf_free(panels), mtf_free(work);
    mtf_free(labels);
    return ready;
}

int main(int argc, char **argv)
{
    int64_t m = 64;
    mtf_error err;
    int n_levels = 0;
    const char *levels[MOST_LEVELS] = {NULL}; /* NULL: the best there is */
    for (int a = 1; a < argc && n_levels < MOST_LEVELS; a++) {
        if (strncmp(argv[a], "rows=", 5) == 0) {
            m = strtoll(argv[a] + 5, NULL, 10);
        } else {
            levels[n_levels++] = argv[a];
        }
    }
    printf("| model | level | words | loss, us a row | products | step | share |\n"
           "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (int l = 0; l < (n_levels > 0 ? n_levels : 1); l++) {
        if (m < 1 || mtf_runtime_init(levels[l], &err) != MTF_OK ||
            mtf_threads_set(1, &err) != MTF_OK) {
            fprintf(stderr, "usage: %s [rows=64] [level ...]; %s\n", argv[0],
                    m < 1 ? "at least one row" : err.text);
            return 2;
        }
        for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
            if (!show(&MODELS[i], m, mtf_kernel)) {
                fprintf(stderr, "out of memory\n");
                return 1;
            }
        }
    }
    return 0;
}
