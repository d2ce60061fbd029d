/* A language head over chosen tokens: values, gradients, cuts into micro-batches of which some have
 * nothing chosen, the tied table, and what a batch may leave out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include "../../csrc/object/object.h"
#include "tolerances.h"

#ifdef MTF_REAL_DOUBLE
#define TOLERANCE_SUM 1e-12
#else
#define TOLERANCE_SUM TOLERANCE_GEMM(64)
#endif

#define N_PICKED 5
#define TABLE    "backbone.embeddings.word_embeddings.weight"

/* Nothing of the second and the last sequence; one token of the third twice. */
static const int64_t picked_offsets[TINY_SEQUENCES + 1] = {0, 2, 2, 5, 5};
static const int32_t picked_positions[N_PICKED] = {1, 3, 0, 6, 6};
static const int32_t picked_labels[N_PICKED] = {4, 9, MTF_IGNORE_LABEL, 28, 0};

typedef struct picked_batch {
    mtf_rows rows[2];
    mtf_input inputs[3];
    mtf_batch batch;
} picked_batch;

static const mtf_batch *fill(picked_batch *b)
{
    b->rows[0] = (mtf_rows){.space = "tokens", .offsets = tiny_offsets};
    b->rows[1] = (mtf_rows){.space = "picked", .offsets = picked_offsets};
    b->inputs[0] = (mtf_input){"ids", tiny_ids};
    b->inputs[1] = (mtf_input){"token_types", tiny_types};
    b->inputs[2] = (mtf_input){"picked.positions", picked_positions};
    b->batch = (mtf_batch){TINY_SEQUENCES, 2, b->rows, 3, b->inputs, 0, NULL};
    return &b->batch;
}

static mtf_status add_head(mtf_model *model, const char *name, int64_t n_words, int64_t hidden,
                           int tied, mtf_error *err)
{
    mtf_config *c = mtf_config_new();
    int bad = c == NULL;
    bad |= mtf_config_set_text(c, "kind", "language_model") != MTF_OK;
    bad |= mtf_config_set_int(c, "n_words", n_words) != MTF_OK;
    bad |= mtf_config_set_ints(c, "hidden", &hidden, hidden > 0) != MTF_OK;
    bad |= mtf_config_set_real(c, "norm_eps", 1e-5) != MTF_OK;
    bad |= mtf_config_set_real(c, "dropout", 0) != MTF_OK;
    bad |= mtf_config_set_bool(c, "tied", tied) != MTF_OK;
    CHECK(!bad);
    const mtf_status status = mtf_model_add_head(model, name, c, 7, err);
    mtf_config_free(c);
    return status;
}

static mtf_model *language_model(int tied)
{
    mtf_error err = {0};
    test_now.random = 17;
    mtf_model *model = tiny_model(0, "mean");
    CHECK(add_head(model, "lm", TINY_VOCABULARY, TINY_WIDTH, tied, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return model;
}

/* Losses of the language head and of "cls". */
static double loss_of(mtf_model *model, int64_t budget)
{
    picked_batch b;
    mtf_error err = {0};
    double means[2] = {0, 0};
    const mtf_loss losses[2] = {{.output = "lm", .targets = picked_labels, .weight = 1.0},
                                {.output = "cls", .targets = tiny_labels_cls, .weight = 0.5}};
    const mtf_train_options options = {.seed = 3, .step = 0, .dropout = 0};
    CHECK(mtf_train_gradients(model, fill(&b), 2, losses, 0, NULL, budget, &options, means, NULL,
                              &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return means[0] + 0.5 * means[1];
}

/* All gradients, one after another; returns how many. */
static size_t dump(const mtf_model *model, mtf_real *all)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *from = mtf_train_get_gradient(model, i);
        if (from != NULL) {
            memcpy(all + n, from, (size_t)info.size * sizeof *all);
            n += (size_t)info.size;
        }
    }
    return n;
}

static size_t param(const mtf_model *model, const char *key)
{
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        if (strcmp(info.key, key) == 0) {
            return i;
        }
    }
    CHECK_MSG(0, key);
    return 0;
}

MTF_TEST(logits_are_those_of_the_chosen_tokens)
{
    static mtf_real some[N_PICKED * TINY_VOCABULARY], all[16 * TINY_VOCABULARY];
    mtf_model *model = language_model(1);
    picked_batch b;
    mtf_error err = {0};
    mtf_output output = {"lm", some};
    int32_t every[16];
    CHECK(mtf_model_forward(model, fill(&b), 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    for (int s = 0; s < TINY_SEQUENCES; s++) {
        for (int64_t i = tiny_offsets[s]; i < tiny_offsets[s + 1]; i++) {
            every[i] = (int32_t)(i - tiny_offsets[s]);
        }
    }
    b.rows[1].offsets = tiny_offsets;
    b.inputs[2].data = every;
    output.data = all;
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    for (int s = 0; s < TINY_SEQUENCES; s++) {
        for (int64_t p = picked_offsets[s]; p < picked_offsets[s + 1]; p++) {
            const int64_t row = tiny_offsets[s] + picked_positions[p];
            CHECK(memcmp(some + p * TINY_VOCABULARY, all + row * TINY_VOCABULARY,
                         TINY_VOCABULARY * sizeof *all) == 0);
        }
    }
    mtf_model_free(model);
}

MTF_TEST(micro_batches_add_up_where_some_have_nothing_chosen)
{
    static mtf_real whole[1 << 15], cut[1 << 15];
    for (int tied = 0; tied < 2; tied++) {
        mtf_model *model = language_model(tied);
        const double loss = loss_of(model, 4096);
        const size_t n = dump(model, whole);
        for (int64_t budget = 1; budget < 16; budget += 6) {
            CHECK_CLOSE(loss_of(model, budget), loss, TOLERANCE_SUM * (1 + fabs(loss)));
            CHECK_INT(dump(model, cut), n);
            for (size_t i = 0; i < n; i++) {
                CHECK_CLOSE(cut[i], whole[i], TOLERANCE_SUM * (1 + fabs((double)whole[i])));
            }
        }
        mtf_model_free(model);
    }
}

MTF_TEST(a_frozen_table_lets_the_head_train_alone)
{
    static uint8_t frozen[128], units[32];
    mtf_model *model = language_model(1);
    mtf_error err = {0};
    const size_t table = param(model, TABLE);
    CHECK(mtf_model_n_params(model) == param(model, "lm.bias") + 1);
    frozen[table] = 1;
    CHECK(mtf_model_set_frozen(model, frozen, mtf_model_n_params(model), units,
                               mtf_model_n_units(model), &err) == MTF_OK);
    (void)loss_of(model, 4096);
    CHECK(mtf_train_get_gradient(model, table) == NULL);
    CHECK(mtf_train_get_gradient(model, param(model, "lm.bias")) != NULL);
    mtf_model_free(model);
}

/* After a dense gradient every row counts as reached, and a later step by rows clears them all. */
MTF_TEST(a_step_without_the_head_forgets_its_dense_gradient)
{
    static mtf_real fresh[TINY_VOCABULARY * TINY_WIDTH];
    mtf_model *models[2] = {language_model(1), language_model(1)};
    tiny_batch b;
    mtf_error err = {0};
    const size_t table = param(models[0], TABLE);
    const mtf_loss loss = {.output = "cls", .targets = tiny_labels_cls, .weight = 1};
    const mtf_train_options options = {.seed = 3, .step = 1, .dropout = 0};
    (void)loss_of(models[1], 4096);
    for (int i = 0; i < 2; i++) {
        CHECK(mtf_train_gradients(models[i], tiny_get_batch(&b, TINY_SEQUENCES), 1, &loss, 0, NULL,
                                  4096, &options, NULL, NULL, &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
        const mtf_real *found = mtf_train_get_gradient(models[i], table);
        if (CHECK(found != NULL) && i == 0) {
            memcpy(fresh, found, sizeof fresh);
        } else if (found != NULL) {
            CHECK(memcmp(fresh, found, sizeof fresh) == 0);
        }
    }
    mtf_model_free(models[0]);
    mtf_model_free(models[1]);
}

MTF_TEST(batches_that_cannot_be)
{
    static const int32_t beyond[N_PICKED] = {1, 5, 0, 6, 6}, below[N_PICKED] = {1, -1, 0, 6, 6};
    static const int64_t falling[TINY_SEQUENCES + 1] = {0, 2, 1, 5, 5};
    static mtf_real logits[N_PICKED * TINY_VOCABULARY];
    const mtf_output output = {"lm", logits};
    mtf_model *model = language_model(1);
    picked_batch b;
    mtf_error err = {0};
    (void)fill(&b);
    b.inputs[2].data = beyond;
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_ERR_VALUE);
    CHECK(strstr(err.text, "\"picked.positions\" has 5 at row 1, in sequence 0 of 5 tokens") !=
          NULL);
    b.inputs[2].data = below;
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_ERR_VALUE);
    (void)fill(&b);
    b.rows[1].offsets = falling;
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_ERR_SHAPE);
    CHECK(strstr(err.text, "offsets of the picked fall") != NULL);
    (void)fill(&b);
    b.batch.n_inputs = 2;
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_ERR_VALUE);
    CHECK(strstr(err.text, "picked lacks the input \"picked.positions\"") != NULL);
    mtf_model_free(model);
}

MTF_TEST(a_tied_decoder_has_the_size_of_the_table)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    CHECK(add_head(model, "lm", TINY_VOCABULARY + 1, TINY_WIDTH, 1, &err) == MTF_ERR_CONFIG);
    CHECK(strstr(err.text, "tied to the backbone's table of words, (29, 12); found 30") != NULL);
    CHECK(add_head(model, "lm", TINY_VOCABULARY, 5, 1, &err) == MTF_ERR_CONFIG);
    CHECK(strstr(err.text, "found 29 outputs of vectors of 5") != NULL);
    CHECK(add_head(model, "lm", TINY_VOCABULARY + 1, 5, 0, &err) == MTF_OK);
    mtf_model_free(model);
}

/* Logits of a large vocabulary count as several rows of a budget each; other heads cost nothing. */
MTF_TEST(rows_of_large_outputs_weigh_more)
{
    static const int64_t words[3] = {4096, 4097, 30522}, cost[3] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        mtf_model *model = tiny_model(0, "mean");
        mtf_error err = {0};
        mtf_space_info info;
        CHECK(add_head(model, "lm", words[i], 0, 0, &err) == MTF_OK);
        for (size_t s = 0; s < mtf_model_n_spaces(model); s++) {
            mtf_model_get_space(model, s, &info);
            const int picked = strcmp(info.name, "picked") == 0;
            CHECK_INT(info.of_heads, picked);
            CHECK_INT(info.row_cost, picked ? cost[i] : 1);
            CHECK(!picked || info.max_length == 16);
        }
        mtf_model_free(model);
    }
}

#ifdef MTF_REAL_DOUBLE
static double shifted(mtf_model *model, size_t index, int64_t at, double shift)
{
    mtf_param_info info;
    mtf_error err = {0};
    mtf_real values[TINY_VOCABULARY * TINY_WIDTH];
    mtf_model_get_param(model, index, &info);
    memcpy(values, info.data, (size_t)info.size * sizeof *values);
    const mtf_real old = values[at];
    values[at] = old + shift;
    CHECK(mtf_model_set_param(model, index, values, (size_t)info.size, &err) == MTF_OK);
    const double loss = loss_of(model, 7);
    values[at] = old;
    CHECK(mtf_model_set_param(model, index, values, (size_t)info.size, &err) == MTF_OK);
    return loss;
}

MTF_TEST(every_gradient_is_the_slope)
{
    static mtf_real gradients[80][TINY_VOCABULARY * TINY_WIDTH];
    for (int tied = 0; tied < 2; tied++) {
        mtf_model *model = language_model(tied);
        const size_t n = mtf_model_n_params(model);
        (void)loss_of(model, 7);
        for (size_t i = 0; CHECK(n <= 80) && i < n; i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            const mtf_real *g = mtf_train_get_gradient(model, i);
            if (g != NULL) {
                memcpy(gradients[i], g, (size_t)info.size * sizeof *g);
            }
        }
        for (size_t i = 0; i < n; i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            for (int s = 0; s < 6 && strncmp(info.key, "ner", 3) != 0; s++) {
                const int64_t at = test_integer(0, info.size - 1);
                const double slope =
                    (shifted(model, i, at, 1e-5) - shifted(model, i, at, -1e-5)) / 2e-5;
                CHECK_CLOSE(gradients[i][at], slope, 1e-5 * (fabs(slope) + 1e-2));
            }
        }
        mtf_model_free(model);
    }
}
#endif
