/* two_spaces.h: an invented family that reads two row spaces, and a packed batch of it.
 *
 *   x = relu(W1 (word[id] + position[i]))        one row for each of the tokens:   "hidden"
 *   y = dropout(gelu(W2 patch))                  one row for each of the patches:  "patch_states"
 *   z = LayerNorm(mean of x + mean of y)         one row for each sequence:        "pooled"
 *
 * Ids are rows of integers, patches rows of floats. No build contains it: the tests bring it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_TWO_SPACES_H
#define MTF_TEST_TWO_SPACES_H

#include "../../csrc/base/status.h"
#include "../../csrc/model/registry.h"
#include "../../csrc/object/object.h"
#include "tiny_bert.h"

#define PAIR_WIDTH       8
#define PAIR_PATCH_WIDTH 5
#define PAIR_VOCABULARY  19
#define PAIR_MAX_TOKENS  6
#define PAIR_MAX_PATCHES 9
#define PAIR_SEQUENCES   60
#define PAIR_MOST        (PAIR_SEQUENCES * PAIR_MAX_PATCHES) /* rows of any space */

static inline int32_t pair_weight(mtf_program *p, const char *key, int64_t rows, int64_t cols)
{
    const int64_t shape[2] = {rows, cols};
    return mtf_program_param(p, key, cols > 0 ? 2 : 1, shape, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO,
                             0);
}

static inline mtf_status pair_build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    const int64_t c = PAIR_WIDTH;
    (void)config;
    const int32_t tokens = mtf_program_space(p, "tokens", PAIR_MAX_TOKENS);
    const int32_t patches = mtf_program_space(p, "patches", PAIR_MAX_PATCHES);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, PAIR_VOCABULARY, 0);
    const mtf_tensor_id rows = mtf_program_input_rows(p, "patches", patches, PAIR_PATCH_WIDTH);

    mtf_program_unit(p, "backbone.tokens", 0);
    const int32_t word = pair_weight(p, "backbone.word", PAIR_VOCABULARY, c);
    const int32_t position = pair_weight(p, "backbone.position", PAIR_MAX_TOKENS, c);
    mtf_tensor_id x =
        mtf_node_embedding(p, "tokens sum", ids, MTF_NO_TENSOR, word, position, -1, 0, -1);
    const int32_t w1 = pair_weight(p, "backbone.tokens.weight", c, c);
    const int32_t b1 = pair_weight(p, "backbone.tokens.bias", c, 0);
    x = mtf_node_linear(p, "tokens dense", x, w1, b1, MTF_ACT_RELU);
    mtf_program_output(p, "hidden", x);

    mtf_program_unit(p, "backbone.patches", 0);
    const int32_t w2 = pair_weight(p, "backbone.patches.weight", c, PAIR_PATCH_WIDTH);
    const int32_t b2 = pair_weight(p, "backbone.patches.bias", c, 0);
    mtf_tensor_id y = mtf_node_linear(p, "patches dense", rows, w2, b2, MTF_ACT_GELU);
    y = mtf_node_dropout(p, "patches dropout", y, 0.2);
    mtf_program_output(p, "patch_states", y);
    mtf_program_end_unit(p);

    const mtf_tensor_id of_x = mtf_node_pool(p, "tokens pooling", MTF_POOL_MEAN, x, MTF_NO_TENSOR);
    const mtf_tensor_id of_y = mtf_node_pool(p, "patches pooling", MTF_POOL_MEAN, y, MTF_NO_TENSOR);
    mtf_program_unit(p, "backbone.join", 0);
    const int32_t norm_w = pair_weight(p, "backbone.LayerNorm.weight", c, 0);
    const int32_t norm_b = pair_weight(p, "backbone.LayerNorm.bias", c, 0);
    mtf_program_output(p, "pooled",
                       mtf_node_layernorm(p, "join", of_x, of_y, norm_w, norm_b, 1e-5, NULL));
    mtf_program_end_unit(p);
    return mtf_program_finish(p, err);
}

static const mtf_family pair_family = {"two_spaces", pair_build};

/* Seeded, with the heads "cls" (3 labels a sequence) and "ner" (4 labels a token). */
static inline mtf_model *pair_model(void)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    mtf_config *config = mtf_config_new();
    test_now.random = 11;
    CHECK(mtf_object_new(&pair_family, config, &model, &err) == MTF_OK);
    mtf_config_free(config);
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 0, NULL, &err) == MTF_OK);
    CHECK(tiny_add_head(model, "ner", "token_classification", 4, 0, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_real values[PAIR_VOCABULARY * PAIR_WIDTH];
        mtf_model_get_param(model, i, &info);
        test_fill(values, (size_t)info.size, -0.5, 0.5);
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
    return model;
}

typedef struct pair_batch {
    int64_t of_tokens[PAIR_SEQUENCES + 1], of_patches[PAIR_SEQUENCES + 1];
    int32_t ids[PAIR_MOST];
    mtf_real patches[PAIR_MOST * PAIR_PATCH_WIDTH];
    int32_t classes[PAIR_SEQUENCES], tags[PAIR_MOST]; /* labels */
    mtf_rows spaces[2];
    mtf_input inputs[2];
    mtf_batch batch;
} pair_batch;

/* Points `batch` at sequences first .. first + n - 1; own (2, n + 1) receives their offsets. */
static inline mtf_batch pair_part(const pair_batch *b, int64_t first, int64_t n, int64_t *own,
                                  mtf_rows *spaces, mtf_input *inputs)
{
    for (int64_t i = 0; i <= n; i++) {
        own[i] = b->of_tokens[first + i] - b->of_tokens[first];
        own[n + 1 + i] = b->of_patches[first + i] - b->of_patches[first];
    }
    spaces[0] = (mtf_rows){.space = "tokens", .offsets = own};
    spaces[1] = (mtf_rows){.space = "patches", .offsets = own + n + 1};
    inputs[0] = (mtf_input){"ids", b->ids + b->of_tokens[first]};
    inputs[1] = (mtf_input){"patches", b->patches + b->of_patches[first] * PAIR_PATCH_WIDTH};
    return (mtf_batch){n, 2, spaces, 2, inputs, 0, NULL};
}

/* Sequences of random lengths, in each space its own. */
static inline void pair_fill(pair_batch *b)
{
    test_now.random = 23;
    b->of_tokens[0] = b->of_patches[0] = 0;
    for (int i = 0; i < PAIR_SEQUENCES; i++) {
        b->of_tokens[i + 1] = b->of_tokens[i] + test_integer(1, PAIR_MAX_TOKENS);
        b->of_patches[i + 1] = b->of_patches[i] + test_integer(1, PAIR_MAX_PATCHES);
        b->classes[i] = i % 5 == 0 ? MTF_IGNORE_LABEL : (int32_t)test_integer(0, 2);
    }
    for (int64_t i = 0; i < b->of_tokens[PAIR_SEQUENCES]; i++) {
        b->ids[i] = (int32_t)test_integer(0, PAIR_VOCABULARY - 1);
        b->tags[i] = i % 3 == 0 ? MTF_IGNORE_LABEL : (int32_t)test_integer(0, 3);
    }
    test_fill(b->patches, PAIR_MOST * PAIR_PATCH_WIDTH, -1, 1);
    b->spaces[0] = (mtf_rows){.space = "tokens", .offsets = b->of_tokens};
    b->spaces[1] = (mtf_rows){.space = "patches", .offsets = b->of_patches};
    b->inputs[0] = (mtf_input){"ids", b->ids};
    b->inputs[1] = (mtf_input){"patches", b->patches};
    b->batch = (mtf_batch){PAIR_SEQUENCES, 2, b->spaces, 2, b->inputs, 0, NULL};
}

/* Losses of both heads on `batch`, which has all of b's sequences. */
static inline mtf_status pair_gradients(mtf_model *model, const pair_batch *b,
                                        const mtf_batch *batch, int64_t budget, uint64_t step,
                                        double *means, mtf_error *err)
{
    const mtf_loss losses[2] = {{.output = "cls", .targets = b->classes, .weight = 1.0},
                                {.output = "ner", .targets = b->tags, .weight = 0.5}};
    const mtf_train_options options = {.seed = 3, .step = step, .dropout = 1};
    return mtf_train_gradients(model, batch, 2, losses, 0, NULL, budget, &options, means, NULL,
                               err);
}

#endif
