/* Batches that carry values of outputs: the same bits as running what lies below, and clear refusals.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#define ROWS    16
#define N_STEPS 4

static mtf_real given_values[MTF_MAX_FEATURES][ROWS * TINY_WIDTH];
static const char *const BOTH[2] = {"cls", "ner"};
static const char *const LOW[] = {"backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]",
                                  NULL};

typedef struct given_batch {
    tiny_batch tiny;
    mtf_feature features[MTF_MAX_FEATURES];
    mtf_batch batch;
} given_batch;

/* The batch of tiny_bert.h, without ids, carrying these outputs (NULL-terminated) as inference
 * computes them. */
static const mtf_batch *give(mtf_model *model, given_batch *g, const char *const *names)
{
    const mtf_batch *whole = tiny_get_batch(&g->tiny, TINY_SEQUENCES);
    size_t n = 0;
    for (; names[n] != NULL; n++) {
        mtf_error err = {0};
        const mtf_output output = {names[n], given_values[n]};
        CHECK(mtf_model_forward(model, whole, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
        g->features[n] = (mtf_feature){names[n], given_values[n]};
    }
    g->batch = *whole;
    g->batch.n_inputs = 0;
    g->batch.n_features = n;
    g->batch.features = g->features;
    return &g->batch;
}

static mtf_status step(mtf_model *model, const mtf_batch *batch, uint64_t number, int64_t budget,
                       double *means, mtf_error *err)
{
    const mtf_loss losses[2] = {{.output = "cls", .targets = tiny_labels_cls, .weight = 1.0},
                                {.output = "ner", .targets = tiny_labels_ner, .weight = 0.5}};
    const mtf_train_options options = {.seed = 1, .step = number, .dropout = 1};
    return mtf_train_gradients(model, batch, 2, losses, 0, NULL, budget, &options, means, NULL,
                               err);
}

typedef struct trained {
    double means[N_STEPS][2];
    mtf_real values[20000]; /* all gradients of the first step, then all parameters at the end */
    size_t n;
} trained;

/* Some steps of a fresh model with these units frozen; given NULL: from ids. */
static void train(trained *result, const char *const *frozen, const char *const *given,
                  int64_t budget)
{
    test_now.random = 5;
    mtf_model *model = tiny_model(0.1, "mean");
    tiny_freeze(model, frozen);
    memset(result, 0, sizeof *result);
    for (uint64_t s = 0; s < N_STEPS; s++) {
        mtf_error err = {0};
        tiny_batch whole;
        given_batch g;
        const mtf_batch *batch =
            given != NULL ? give(model, &g, given) : tiny_get_batch(&whole, TINY_SEQUENCES);
        CHECK(step(model, batch, s, budget, result->means[s], &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
        for (size_t i = 0; s == 0 && i < mtf_model_n_params(model); i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            const mtf_real *gradient = mtf_train_get_gradient(model, i);
            if (gradient != NULL) {
                memcpy(result->values + result->n, gradient, (size_t)info.size * sizeof *gradient);
            }
            result->n += (size_t)info.size;
        }
        tiny_apply(model);
    }
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        memcpy(result->values + result->n, info.data, (size_t)info.size * sizeof *info.data);
        result->n += (size_t)info.size;
    }
    CHECK(result->n <= sizeof result->values / sizeof *result->values);
    mtf_model_free(model);
}

static trained computed, from_given;

MTF_TEST(given_at_any_height_has_the_bits_of_computed)
{
    static const char *const backbone[] = {"backbone", NULL};
    static const char *const with_head[] = {"backbone", "cls", NULL};
    static const char *const embeddings[] = {"backbone.embeddings", NULL};
    static const struct {
        const char *const *frozen;
        const char *given[5];
    } cases[] = {{backbone, {"hidden", "embedding"}},
                 {backbone, {"embedding", "hidden"}},
                 {backbone, {"hidden"}},
                 {backbone, {"hidden_states.3", "hidden", "pooled"}}, /* two names of one */
                 {backbone, {"hidden_states.0"}},
                 {backbone, {"hidden_states.1"}},
                 {backbone, {"hidden_states.2", "pooled"}},
                 {backbone, {"hidden_states.0", "hidden_states.2", "hidden"}},
                 {with_head, {"hidden", "cls"}},
                 {with_head, {"hidden_states.1", "embedding"}},
                 {LOW, {"hidden_states.2"}},
                 {LOW, {"hidden_states.1"}},
                 {LOW, {"hidden_states.0", "hidden_states.2"}},
                 {embeddings, {"hidden_states.0"}}};
    static const int64_t budgets[] = {4096, 7};
    for (size_t b = 0; b < 2; b++) {
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            train(&computed, cases[c].frozen, NULL, budgets[b]);
            train(&from_given, cases[c].frozen, cases[c].given, budgets[b]);
            CHECK_BITS(computed.means, from_given.means, sizeof computed.means);
            CHECK_INT(computed.n, from_given.n);
            CHECK_BITS(computed.values, from_given.values, computed.n * sizeof *computed.values);
        }
    }
}

MTF_TEST(inference_goes_on_from_any_output)
{
    mtf_model *model = tiny_model(0.1, "mean");
    static mtf_real whole[ROWS * TINY_WIDTH], part[ROWS * TINY_WIDTH];
    static const char *const wanted[] = {"hidden", "pooled", "embedding", "cls", "ner"};
    static const char *const given[][2] = {
        {"hidden_states.0", NULL}, {"hidden_states.2", NULL}, {"hidden", NULL}};
    for (size_t g = 0; g < 3; g++) {
        given_batch batch;
        const mtf_batch *carried = give(model, &batch, given[g]);
        for (size_t w = 0; w < 5; w++) {
            mtf_error err = {0};
            tiny_batch t;
            memset(whole, 0, sizeof whole);
            memset(part, 0, sizeof part);
            const mtf_output a = {wanted[w], whole}, b = {wanted[w], part};
            CHECK(mtf_model_forward(model, tiny_get_batch(&t, TINY_SEQUENCES), 1, &a, MTF_AS_FROZEN,
                                    &err) == 0);
            CHECK(mtf_model_forward(model, carried, 1, &b, MTF_AS_FROZEN, &err) == MTF_OK);
            CHECK_TEXT(err.text, "");
            CHECK_BITS(whole, part, sizeof whole);
        }
    }
    mtf_model_free(model);
}

MTF_TEST(given_values_are_read)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    given_batch g;
    double means[2][2];
    tiny_freeze(model, LOW);
    const mtf_batch *batch = give(model, &g, (const char *const[]){"hidden_states.1", NULL});
    CHECK(step(model, batch, 0, 4096, means[0], &err) == MTF_OK);
    given_values[0][3] += 1;
    CHECK(step(model, batch, 0, 4096, means[1], &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    CHECK(means[0][0] != means[1][0] && means[0][1] != means[1][1]);
    mtf_model_free(model);
}

MTF_TEST(what_trains_below_is_named)
{
    mtf_model *model = tiny_model(0.1, "mean");
    static const struct {
        const char *given, *unit;
    } cases[] = {{"hidden", "backbone.layers[2]"},
                 {"embedding", "backbone.layers[2]"},
                 {"cls", "backbone.layers[2]"}};
    given_batch g;
    double means[2];
    tiny_freeze(model, LOW);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mtf_error err = {0};
        const mtf_batch *batch =
            give(model, &g, (const char *const[]){cases[i].given, "hidden_states.2", NULL});
        CHECK(step(model, batch, 0, 4096, means, &err) == MTF_ERR_VALUE);
        CHECK_MSG(strstr(err.text, cases[i].unit) != NULL, err.text);
        CHECK_MSG(strstr(err.text, cases[i].given) != NULL, err.text);
    }
    /* Unfrozen from the bottom, the lowest is named; the model goes on. */
    mtf_error err = {0};
    tiny_freeze(model, (const char *const[]){"backbone.layers[1]", NULL});
    const mtf_batch *batch = give(model, &g, (const char *const[]){"hidden_states.2", NULL});
    CHECK(step(model, batch, 0, 4096, means, &err) == MTF_ERR_VALUE);
    CHECK_MSG(strstr(err.text, "backbone.embeddings") != NULL, err.text);
    tiny_batch t;
    CHECK(step(model, tiny_get_batch(&t, TINY_SEQUENCES), 0, 4096, means, &err) == MTF_OK);
    mtf_model_free(model);
}

MTF_TEST(needless_features_are_passed_over)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    tiny_batch t;
    given_batch g;
    double means[2];
    const mtf_train_options options = {0};
    const mtf_loss loss = {.output = "ner", .targets = tiny_labels_ner, .weight = 1.0};
    const char *low[1] = {"hidden_states.1"};
    mtf_real *no_values[1] = {NULL};
    tiny_freeze(model, (const char *const[]){"backbone.embeddings", NULL});
    /* "pooled" lies above what trains, but only the other head reads it. */
    const mtf_batch *batch =
        give(model, &g, (const char *const[]){"hidden_states.0", "pooled", "cls", NULL});
    CHECK(mtf_train_gradients(model, batch, 1, &loss, 0, NULL, 9, &options, means, NULL, &err) ==
          MTF_OK);
    CHECK_TEXT(err.text, "");
    /* Nor does anything above the wanted output matter. */
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    batch = give(model, &g, (const char *const[]){"hidden", "hidden_states.0", NULL});
    CHECK(mtf_train_forward(model, batch, 0, 1, low, no_values, &err) == MTF_OK);
    CHECK(mtf_train_forward(model, tiny_get_batch(&t, 4), 0, 1, low, no_values, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    mtf_model_free(model);
}

MTF_TEST(missing_ids_name_what_could_be_given)
{
    mtf_model *model = tiny_model(0, "mean");
    given_batch g;
    double means[2];
    mtf_error err = {0};
    const mtf_batch *none = give(model, &g, (const char *const[]){NULL});
    CHECK(step(model, none, 0, 4096, means, &err) == MTF_ERR_VALUE);
    CHECK_MSG(strstr(err.text, "\"ids\"; give it") != NULL, err.text);
    CHECK_MSG(strstr(err.text, "features") == NULL, err.text);
    tiny_freeze(model, (const char *const[]){"backbone", NULL});
    CHECK(step(model, none, 0, 4096, means, &err) == MTF_ERR_VALUE);
    CHECK_MSG(strstr(err.text, "\"hidden\", \"embedding\"") != NULL ||
                  strstr(err.text, "\"embedding\", \"hidden\"") != NULL,
              err.text);
    const mtf_batch *half = give(model, &g, (const char *const[]){"pooled", NULL});
    CHECK(step(model, half, 0, 4096, means, &err) == MTF_ERR_VALUE);
    CHECK_MSG(strstr(err.text, "\"hidden\"") != NULL, err.text);
    CHECK_MSG(strstr(err.text, "\"embedding\"") == NULL, err.text);
    mtf_model_free(model);
}

MTF_TEST(prefix_is_the_highest_boundary)
{
    mtf_model *model = tiny_model(0.1, "mean");
    const char *names[MTF_MAX_FEATURES];
    size_t n = 9;
    mtf_error err = {0};
    CHECK(mtf_model_get_prefix(model, 1, 2, BOTH, NULL, &n, names, &err) == MTF_OK);
    CHECK_INT(n, 0);
    tiny_freeze(model, LOW);
    CHECK(mtf_model_get_prefix(model, 1, 2, BOTH, NULL, &n, names, &err) == MTF_OK);
    CHECK_INT(n, 1);
    CHECK_TEXT(names[0], "hidden_states.2");
    tiny_freeze(model, (const char *const[]){"backbone", NULL});
    CHECK(mtf_model_get_prefix(model, 1, 2, BOTH, NULL, &n, names, &err) == MTF_OK);
    CHECK_INT(n, 2);
    CHECK(mtf_model_get_prefix(model, 1, 1, BOTH + 1, NULL, &n, names, &err) == MTF_OK);
    CHECK_INT(n, 1);
    CHECK_TEXT(names[0], "hidden");
    const char *unknown[1] = {"hiden"};
    CHECK(mtf_model_get_prefix(model, 1, 1, unknown, NULL, &n, names, &err) == MTF_ERR_NAME);
    mtf_model_free(model);
}

MTF_TEST(version_counts_changes_from_outside)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_error err = {0};
    double means[2];
    mtf_real bias[3] = {0, 1, 2};
    uint64_t last = mtf_model_version(model);
    CHECK(tiny_gradients(model, 4096, 0, 1, means, &err) == MTF_OK);
    tiny_apply(model);
    CHECK_INT(mtf_model_version(model), last);
    const size_t at = (size_t)tiny_param(model, "cls.bias");
    CHECK(mtf_model_set_param(model, at, bias, 2, &err) == MTF_ERR_SHAPE);
    CHECK_INT(mtf_model_version(model), last);
    CHECK(mtf_model_set_param(model, at, bias, 3, &err) == MTF_OK);
    CHECK(mtf_model_version(model) > last);
    last = mtf_model_version(model);
    tiny_freeze(model, LOW);
    CHECK(mtf_model_version(model) > last);
    last = mtf_model_version(model);
    CHECK(mtf_model_remove_head(model, "cls", &err) == MTF_OK);
    CHECK(mtf_model_version(model) > last);
    last = mtf_model_version(model);
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 0, NULL, &err) == MTF_OK);
    CHECK(mtf_model_version(model) > last);
    mtf_model_free(model);
}
