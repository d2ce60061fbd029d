/* tiny_bert.h: a seeded 3-layer BERT with two heads and a packed batch, for tests of whole models.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_TINY_BERT_H
#define MTF_TEST_TINY_BERT_H

#include "../../csrc/include/mtfreeze.h"
#include "test.h"

#define TINY_WIDTH      12
#define TINY_VOCABULARY 29
#define TINY_LAYERS     3
#define TINY_SEQUENCES  4

static const int64_t tiny_offsets[TINY_SEQUENCES + 1] = {0, 5, 6, 13, 16};
static const int32_t tiny_ids[16] = {2, 7, 9, 7, 3, 2, 2, 11, 28, 4, 4, 5, 3, 2, 19, 3};
static const int32_t tiny_types[16] = {0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0};
static const int32_t tiny_labels_cls[TINY_SEQUENCES] = {1, MTF_IGNORE_LABEL, 0, 2};
static const int32_t tiny_labels_ner[16] = {-100, 1, 0, -100, -100, -100, -100, 3,
                                            2,    0, 0, -100, -100, -100, 1,    -100};

typedef struct tiny_batch {
    mtf_rows rows;
    mtf_input inputs[2];
    mtf_batch batch;
} tiny_batch;

/* The whole batch, or its first `n` sequences. */
static inline const mtf_batch *tiny_get_batch(tiny_batch *b, int64_t n)
{
    b->rows = (mtf_rows){.space = "tokens", .offsets = tiny_offsets};
    b->inputs[0] = (mtf_input){"ids", tiny_ids};
    b->inputs[1] = (mtf_input){"token_types", tiny_types};
    b->batch = (mtf_batch){n, 1, &b->rows, 2, b->inputs, 0, NULL};
    return &b->batch;
}

static inline mtf_config *tiny_config(double dropout, const char *pooling)
{
    mtf_config *c = mtf_config_new();
    int bad = c == NULL;
    bad |= mtf_config_set_text(c, "model_type", "bert") != MTF_OK;
    bad |= mtf_config_set_text(c, "pooling", pooling) != MTF_OK;
    bad |= mtf_config_set_bool(c, "normalize", 1) != MTF_OK;
    bad |= mtf_config_set_int(c, "hidden_size", TINY_WIDTH) != MTF_OK;
    bad |= mtf_config_set_int(c, "num_hidden_layers", TINY_LAYERS) != MTF_OK;
    bad |= mtf_config_set_int(c, "num_attention_heads", 3) != MTF_OK;
    bad |= mtf_config_set_int(c, "intermediate_size", 20) != MTF_OK;
    bad |= mtf_config_set_int(c, "vocab_size", TINY_VOCABULARY) != MTF_OK;
    bad |= mtf_config_set_int(c, "max_position_embeddings", 16) != MTF_OK;
    bad |= mtf_config_set_real(c, "hidden_dropout_prob", dropout) != MTF_OK;
    bad |= mtf_config_set_real(c, "attention_probs_dropout_prob", dropout) != MTF_OK;
    CHECK(!bad);
    return c;
}

static inline mtf_status tiny_add_head(mtf_model *model, const char *name, const char *kind,
                                       int64_t n_labels, int64_t hidden, const char *features,
                                       mtf_error *err)
{
    mtf_config *c = mtf_config_new();
    int bad = c == NULL;
    bad |= mtf_config_set_text(c, "kind", kind) != MTF_OK;
    bad |= mtf_config_set_int(c, "n_labels", n_labels) != MTF_OK;
    bad |= mtf_config_set_ints(c, "hidden", &hidden, hidden > 0) != MTF_OK;
    if (features != NULL) {
        bad |= mtf_config_set_text(c, "features", features) != MTF_OK;
    }
    CHECK(!bad);
    mtf_status status = mtf_model_add_head(model, name, c, 7, err);
    mtf_config_free(c);
    return status;
}

/* Parameters uniform in +-0.5 (norm weights around 1); heads "cls" (3 labels) and "ner" (4). Takes the
 * configuration over. */
static inline mtf_model *tiny_model_of(mtf_config *c)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    CHECK(mtf_model_new(c, &model, &err) == MTF_OK);
    mtf_config_free(c);
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 5, "embedding", &err) == 0);
    CHECK(tiny_add_head(model, "ner", "token_classification", 4, 0, NULL, &err) == 0);
    CHECK_TEXT(err.text, "");
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        mtf_real values[TINY_VOCABULARY * TINY_WIDTH];
        test_fill(values, (size_t)info.size, -0.5, 0.5);
        if (strstr(info.key, "LayerNorm.weight") != NULL) {
            for (int64_t j = 0; j < info.size; j++) {
                values[j] += 1;
            }
        }
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
    return model;
}

static inline mtf_model *tiny_model(double dropout, const char *pooling)
{
    return tiny_model_of(tiny_config(dropout, pooling));
}

/* Two Dense modules over poolings side by side: a residual of another width, one of the same. */
static inline mtf_model *tiny_dense_model(double dropout, const char *pooling)
{
    mtf_config *c = tiny_config(dropout, pooling);
    int bad = mtf_config_set_int(c, "n_dense", 2) != MTF_OK;
    bad |= mtf_config_set_int(c, "dense.0.width", 7) != MTF_OK;
    bad |= mtf_config_set_text(c, "dense.0.activation", "tanh") != MTF_OK;
    bad |= mtf_config_set_bool(c, "dense.0.residual", 1) != MTF_OK;
    bad |= mtf_config_set_int(c, "dense.1.width", 7) != MTF_OK;
    bad |= mtf_config_set_bool(c, "dense.1.bias", 0) != MTF_OK;
    bad |= mtf_config_set_bool(c, "dense.1.residual", 1) != MTF_OK;
    CHECK(!bad);
    return tiny_model_of(c);
}

/* Index of the unit or parameter of that name; -1 and a failed check when there is none. */
static inline int tiny_unit(const mtf_model *model, const char *path)
{
    for (size_t i = 0; i < mtf_model_n_units(model); i++) {
        mtf_unit_info info;
        mtf_model_get_unit(model, i, &info);
        if (strcmp(info.path, path) == 0) {
            return (int)i;
        }
    }
    CHECK_MSG(0, path);
    return -1;
}

static inline int tiny_param(const mtf_model *model, const char *key)
{
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        if (strcmp(info.key, key) == 0) {
            return (int)i;
        }
    }
    CHECK_MSG(0, key);
    return -1;
}

/* Freezes exactly the units whose paths begin with one of the prefixes (NULL-terminated). */
static inline void tiny_freeze(mtf_model *model, const char *const *prefixes)
{
    uint8_t params[128] = {0}, units[16] = {0};
    mtf_error err = {0};
    for (size_t u = 0; u < mtf_model_n_units(model); u++) {
        mtf_unit_info info;
        mtf_model_get_unit(model, u, &info);
        for (size_t p = 0; prefixes[p] != NULL; p++) {
            if (strncmp(info.path, prefixes[p], strlen(prefixes[p])) == 0) {
                units[u] = 1;
                memset(params + info.first_param, 1, (size_t)info.n_params);
            }
        }
    }
    CHECK(mtf_model_set_frozen(model, params, mtf_model_n_params(model), units,
                               mtf_model_n_units(model), &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

/* Losses of both heads, with weights. */
static inline mtf_status tiny_gradients(mtf_model *model, int64_t token_budget, uint64_t step,
                                        int dropout, double *means, mtf_error *err)
{
    tiny_batch b;
    const mtf_loss losses[2] = {{.output = "cls", .targets = tiny_labels_cls, .weight = 1.0},
                                {.output = "ner", .targets = tiny_labels_ner, .weight = 0.5}};
    const mtf_train_options options = {.seed = 3, .step = step, .dropout = dropout};
    return mtf_train_gradients(model, tiny_get_batch(&b, TINY_SEQUENCES), 2, losses, 0, NULL,
                               token_budget, &options, means, NULL, err);
}

/* Steps every parameter whose gradient is there, at a rate that shows. */
static inline void tiny_apply(mtf_model *model)
{
    enum { MOST = 128 };
    double rates[MOST], decays[MOST];
    mtf_error err = {0};
    for (int i = 0; i < MOST; i++) {
        rates[i] = 1e-2;
        decays[i] = 0.1;
    }
    const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
    mtf_update_result result;
    CHECK(mtf_model_n_params(model) <= MOST);
    CHECK(mtf_train_apply(model, &update, &result, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

/* Appends `values` (size) to `to`, which holds n already; NULL appends nothing. Returns how many then. */
static inline size_t tiny_copy(mtf_real *to, size_t n, const mtf_real *values, int64_t size)
{
    if (values != NULL) {
        memcpy(to + n, values, (size_t)size * sizeof *to);
        n += (size_t)size;
    }
    return n;
}

/* Weights, moments and step counts, one after another, into `to`; returns how many values. */
static inline size_t tiny_state(const mtf_model *model, mtf_real *to)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        const mtf_real *moment1, *moment2;
        int64_t n_steps;
        mtf_model_get_param(model, i, &info);
        mtf_train_get_state(model, i, &moment1, &moment2, &n_steps);
        n = tiny_copy(to, n, info.data, info.size);
        n = tiny_copy(to, n, moment1, info.size);
        n = tiny_copy(to, n, moment2, info.size);
        to[n++] = (mtf_real)n_steps;
    }
    return n;
}

#endif
