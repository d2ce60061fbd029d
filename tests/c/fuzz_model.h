/* fuzz_model.h: what the fuzzer of the core keeps beside a model, and how it makes things up.
 *
 * A `fuzz` is a model and its shadow: the weights, freeze state and precisions that it must have, and
 * whether a step is under way and a forward waits, as mtfreeze.h says. All that is drawn comes from the
 * seed of the case. Batches lie in blocks of exactly their size, freed as soon as the core has no right to
 * them any more, so that the sanitizers see who reads on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_FUZZ_MODEL_H
#define MTF_TEST_FUZZ_MODEL_H

#include "../../csrc/include/mtfreeze.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_MAX_HEADS     4
#define FUZZ_MAX_PARAMS    96
#define FUZZ_MAX_UNITS     16
#define FUZZ_MAX_OUTPUTS   24
#define FUZZ_MAX_SEQUENCES 6
#define FUZZ_MAX_LENGTH    12
#define FUZZ_MAX_TOKENS    (FUZZ_MAX_SEQUENCES * FUZZ_MAX_LENGTH)
#define FUZZ_MAX_WIDTH     256
#define FUZZ_MAX_HELD      3
#define FUZZ_MAX_WANTED    3

/* Shapes: two that are made in small kernels, one whose products are packed. */
typedef struct fuzz_shape {
    int64_t width, layers, heads, feed_forward, vocabulary;
} fuzz_shape;

static const fuzz_shape fuzz_shapes[] = {
    {12, 3, 3, 20, 29}, {16, 1, 2, 32, 50}, {256, 1, 4, 272, 40}};

typedef struct fuzz_head {
    char name[16];
    int token;  /* 1: token_classification */
    int hidden; /* width of a hidden layer; 0: none */
} fuzz_head;
#define FUZZ_LABELS 3

/* What a call must come to. */
typedef enum fuzz_must { FUZZ_OK, FUZZ_REFUSED, FUZZ_EITHER } fuzz_must;

typedef struct fuzz_batch {
    mtf_rows rows;
    mtf_input inputs[2];
    mtf_feature feature;
    int64_t *offsets;              /* (B + 1) */
    int32_t *ids;                  /* (T) */
    mtf_real *values;              /* (N, width) of the feature */
    int64_t n_sequences, n_tokens; /* as they were before anything was put wrong */
    mtf_batch batch;
    fuzz_must must; /* what a call that is right otherwise comes to with it */
} fuzz_batch;

typedef struct fuzz_held {
    mtf_values *values;
    const mtf_real *data; /* (n) */
    mtf_real *copy;       /* (n) what must stand there */
    size_t n;
} fuzz_held;

typedef struct fuzz {
    uint64_t random;
    mtf_model *model;
    const fuzz_shape *shape;
    const char *pooling;
    double dropout;
    int normalize;
    int n_heads;
    int n_named; /* heads so far: names are not used again */
    fuzz_head heads[FUZZ_MAX_HEADS];
    mtf_real *weights[FUZZ_MAX_PARAMS]; /* (n_params) copies */
    uint8_t frozen[FUZZ_MAX_PARAMS], frozen_units[FUZZ_MAX_UNITS], precision[FUZZ_MAX_PARAMS];
    uint64_t version;
    int open, waits;
    fuzz_batch *waiting; /* of the forward that waits, and the outputs that it was for */
    const char *wanted[FUZZ_MAX_WANTED];
    size_t n_wanted;
    int wild; /* 1: a number may not be finite, or become so; steps may be refused */
    fuzz_held held[FUZZ_MAX_HELD];
    int can_fail;      /* 1: allocations may be made to fail */
    const char *call;  /* under way */
    char failure[400]; /* the first; empty: none */
} fuzz;

static inline void fuzz_fail(fuzz *f, const char *format, ...)
{
    if (f->failure[0] == 0) {
        va_list args;
        va_start(args, format);
        const int n = snprintf(f->failure, sizeof f->failure, "%s: ", f->call);
        (void)vsnprintf(f->failure + n, sizeof f->failure - (size_t)n, format, args);
        va_end(args);
    }
}

static inline uint64_t fuzz_random(fuzz *f)
{
    uint64_t z = (f->random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in 0 .. n - 1. */
static inline int64_t fuzz_below(fuzz *f, int64_t n)
{
    return (int64_t)(fuzz_random(f) % (uint64_t)n);
}

/* Once in n times. */
static inline int fuzz_once_in(fuzz *f, int64_t n)
{
    return fuzz_below(f, n) == 0;
}

static inline void fuzz_fill(fuzz *f, mtf_real *values /* (n) */, size_t n, double bound)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = (mtf_real)(((double)(fuzz_random(f) >> 11) * 0x1p-52 - 1.0) * bound);
    }
}

static inline mtf_real *fuzz_values(fuzz *f, size_t n, double bound)
{
    mtf_real *values = malloc((n + 1) * sizeof *values);
    if (values == NULL) {
        abort();
    }
    fuzz_fill(f, values, n, bound);
    return values;
}

/* A count that nothing has. */
static inline int64_t fuzz_bad_count(fuzz *f)
{
    static const int64_t bad[] = {
        -1, INT64_MIN, INT64_MIN + 1, MTF_MAX_COUNT + 1, INT64_MAX - 1, INT64_MAX};
    return bad[fuzz_below(f, 6)];
}

static inline const char *fuzz_output(fuzz *f)
{
    mtf_output_info info;
    mtf_model_get_output(f->model, (size_t)fuzz_below(f, (int64_t)mtf_model_n_outputs(f->model)),
                         &info);
    return info.name;
}

static inline int64_t fuzz_rows(const fuzz_batch *b, const char *space)
{
    return strcmp(space, "sequences") == 0 ? b->n_sequences : b->n_tokens;
}

static inline mtf_output_info fuzz_output_info(const fuzz *f, const char *name)
{
    mtf_output_info info = {0};
    for (size_t i = 0; i < mtf_model_n_outputs(f->model); i++) {
        mtf_model_get_output(f->model, i, &info);
        if (strcmp(info.name, name) == 0) {
            break;
        }
    }
    return info;
}

/* Values of an output for a batch. */
static inline size_t fuzz_output_size(const fuzz *f, const fuzz_batch *b, const char *name)
{
    const mtf_output_info info = fuzz_output_info(f, name);
    return (size_t)(fuzz_rows(b, info.space) * info.width);
}

/* ---- batches ----------------------------------------------------------------------------------- */

static inline void fuzz_batch_free(fuzz_batch *b)
{
    if (b != NULL) {
        free(b->offsets);
        free(b->ids);
        free(b->values);
        free(b);
    }
}

/* Puts one thing wrong. */
static inline void fuzz_spoil(fuzz *f, fuzz_batch *b)
{
    const int64_t last = b->n_sequences;
    b->must = FUZZ_REFUSED;
    switch (fuzz_below(f, 9)) {
    case 0:
        b->batch.n_inputs = 1;
        b->ids[fuzz_below(f, b->n_tokens)] =
            fuzz_once_in(f, 2) ? INT32_MIN : (int32_t)f->shape->vocabulary;
        break;
    case 1:
        b->offsets[0] = 1;
        break;
    case 2:
        b->offsets[last] = b->offsets[last - 1];
        break;
    case 3:
        b->offsets[last] =
            fuzz_once_in(f, 2) ? INT64_MAX : b->offsets[last - 1] + FUZZ_MAX_LENGTH + 1;
        break;
    case 4:
        b->rows.space = fuzz_once_in(f, 2) ? "sequences" : "words";
        break;
    case 5:
        b->batch.n_spaces = 0;
        break;
    case 6:
        b->batch.n_inputs = 1;
        b->inputs[0].name = "pixels";
        break;
    case 7:
        b->batch.n_sequences = fuzz_bad_count(f);
        break;
    default:
        b->feature = (mtf_feature){"nothing", b->values};
        b->batch.features = &b->feature;
        b->batch.n_features = 1;
    }
}

/* Mostly right; at times wrong, or with a feature. */
static inline fuzz_batch *fuzz_batch_new(fuzz *f)
{
    fuzz_batch *b = calloc(1, sizeof *b);
    const int64_t n = 1 + fuzz_below(f, FUZZ_MAX_SEQUENCES);
    if (b == NULL || (b->offsets = malloc((size_t)(n + 1) * sizeof *b->offsets)) == NULL) {
        abort();
    }
    b->n_sequences = n;
    b->offsets[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        b->offsets[i + 1] = b->offsets[i] + 1 + fuzz_below(f, FUZZ_MAX_LENGTH);
    }
    b->n_tokens = b->offsets[n];
    b->ids = malloc((size_t)b->n_tokens * sizeof *b->ids);
    if (b->ids == NULL) {
        abort();
    }
    for (int64_t i = 0; i < b->n_tokens; i++) {
        b->ids[i] = (int32_t)fuzz_below(f, f->shape->vocabulary);
    }
    b->rows = (mtf_rows){.space = "tokens", .offsets = b->offsets};
    b->inputs[0] = (mtf_input){"ids", b->ids};
    b->batch = (mtf_batch){n, 1, &b->rows, 1, b->inputs, 0, NULL};
    b->must = FUZZ_OK;
    if (fuzz_once_in(f, 6)) {
        const char *name = fuzz_output(f);
        b->values = fuzz_values(f, fuzz_output_size(f, b, name), 1);
        b->feature = (mtf_feature){name, b->values};
        b->batch.n_features = 1;
        b->batch.features = &b->feature;
        b->batch.n_inputs = (size_t)fuzz_below(f, 2);
        b->must = FUZZ_EITHER; /* it depends on what trains below, and on what it is computed for */
    }
    if (fuzz_once_in(f, 8)) {
        fuzz_spoil(f, b);
    }
    return b;
}

/* ---- models ------------------------------------------------------------------------------------ */

static inline mtf_status fuzz_config(const fuzz *f, mtf_config **made)
{
    mtf_config *c = mtf_config_new();
    *made = c;
    if (c == NULL || mtf_config_set_text(c, "model_type", "bert") != MTF_OK ||
        mtf_config_set_text(c, "pooling", f->pooling) != MTF_OK ||
        mtf_config_set_bool(c, "normalize", f->normalize) != MTF_OK ||
        mtf_config_set_int(c, "hidden_size", f->shape->width) != MTF_OK ||
        mtf_config_set_int(c, "num_hidden_layers", f->shape->layers) != MTF_OK ||
        mtf_config_set_int(c, "num_attention_heads", f->shape->heads) != MTF_OK ||
        mtf_config_set_int(c, "intermediate_size", f->shape->feed_forward) != MTF_OK ||
        mtf_config_set_int(c, "vocab_size", f->shape->vocabulary) != MTF_OK ||
        mtf_config_set_int(c, "max_position_embeddings", FUZZ_MAX_LENGTH) != MTF_OK ||
        mtf_config_set_real(c, "hidden_dropout_prob", f->dropout) != MTF_OK ||
        mtf_config_set_real(c, "attention_probs_dropout_prob", f->dropout) != MTF_OK) {
        return MTF_ERR_MEMORY;
    }
    return MTF_OK;
}

static inline mtf_status fuzz_add_head(mtf_model *model, const fuzz_head *head, const char *kind,
                                       mtf_error *err)
{
    const int64_t hidden = head->hidden;
    mtf_config *c = mtf_config_new();
    mtf_status status = MTF_ERR_MEMORY;
    if (c != NULL && mtf_config_set_text(c, "kind", kind) == MTF_OK &&
        mtf_config_set_int(c, "n_labels", FUZZ_LABELS) == MTF_OK &&
        mtf_config_set_ints(c, "hidden", &hidden, hidden > 0) == MTF_OK) {
        status = mtf_model_add_head(model, head->name, c, 7, err);
    } else if (err != NULL) {
        *err = (mtf_error){MTF_ERR_MEMORY, "a configuration found no memory"};
    }
    mtf_config_free(c);
    return status;
}

static inline const char *fuzz_kind(const fuzz_head *head)
{
    return head->token ? "token_classification" : "sequence_classification";
}

#endif
