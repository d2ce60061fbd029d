/* shared_units.h: an invented family that applies one unit several times, and its unrolled twin.
 *
 *   x = word[id] + position[i]
 *   x = LayerNorm(x + dropout(W2 gelu(W1 x)))     three times: "hidden_states.1" .. "hidden_states.3"
 *
 * The looped family has one unit, "backbone.layers[0:3]", for all three; the twin has three, so its
 * gradients are those of the single uses. Labels, and with them the draws of dropout, are the same.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_SHARED_UNITS_H
#define MTF_TEST_SHARED_UNITS_H

#include "../../csrc/base/status.h"
#include "../../csrc/model/parts.h"
#include "../../csrc/model/registry.h"
#include "../../csrc/object/object.h"
#include "tiny_bert.h"

enum { LOOP_USES = 3 };

static inline mtf_tensor_id loop_layer(mtf_program *p, int64_t width, const char *unit, int keys,
                                       int use, mtf_tensor_id x)
{
    char prefix[48], label[48], output[48];
    (void)snprintf(prefix, sizeof prefix, "backbone.layer.%d", keys);
    (void)snprintf(label, sizeof label, "backbone.layers[%d]", use);
    (void)snprintf(output, sizeof output, "hidden_states.%d", use + 1);
    const mtf_block block = {.program = p, .keys = prefix, .label = label};
    mtf_program_unit(p, unit, 0);
    mtf_tensor_id f = mtf_part_dense(&block, "up", x, width, MTF_ACT_GELU);
    f = mtf_part_dense(&block, "down", f, width, MTF_ACT_NONE);
    f = mtf_part_dropout(&block, "dropout", f, 0.2);
    x = mtf_part_norm(&block, "LayerNorm", f, x, 1e-5);
    mtf_program_end_unit(p);
    mtf_program_output(p, output, x);
    return x;
}

static inline mtf_status loop_build_any(mtf_program *p, const mtf_config *config, int shared,
                                        mtf_error *err)
{
    int64_t width = TINY_WIDTH;
    MTF_TRY(mtf_config_get_int(config, "hidden_size", 1, 4096, 0, &width, err));
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", 16);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, TINY_VOCABULARY, 0);
    (void)mtf_program_input_ids(p, "token_types", tokens, 2, 1);
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int32_t word = mtf_part_weight(&block, "word", TINY_VOCABULARY, width);
    const int32_t position = mtf_part_weight(&block, "position", 16, width);
    mtf_tensor_id x = mtf_node_embedding(p, "backbone.embeddings sum", ids, MTF_NO_TENSOR, word,
                                         position, -1, 0, -1);
    mtf_program_end_unit(p);
    mtf_program_output(p, "hidden_states.0", x);
    for (int i = 0; i < LOOP_USES; i++) {
        char own[48];
        (void)snprintf(own, sizeof own, "backbone.layers[%d]", i);
        x = loop_layer(p, width, shared ? "backbone.layers[0:3]" : own, shared ? 0 : i, i, x);
    }
    mtf_program_output(p, "hidden", x);
    return mtf_build_pooling(p, config, x, &mtf_bert_pooler, err);
}

static inline mtf_status loop_build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    return loop_build_any(p, config, 1, err);
}

static inline mtf_status twin_build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    return loop_build_any(p, config, 0, err);
}

static const mtf_family loop_family = {"looped", loop_build},
                        twin_family = {"unrolled", twin_build};

/* Without heads; all parameters zero. */
static inline mtf_model *loop_new(const mtf_family *family, int64_t width)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    mtf_config *config = mtf_config_new();
    CHECK(mtf_config_set_int(config, "hidden_size", width) == MTF_OK);
    CHECK(mtf_object_new(family, config, &model, &err) == MTF_OK);
    mtf_config_free(config);
    CHECK_TEXT(err.text, "");
    return model;
}

static inline void loop_add_heads(mtf_model *model)
{
    mtf_error err = {0};
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 0, NULL, &err) == MTF_OK);
    CHECK(tiny_add_head(model, "ner", "token_classification", 4, 0, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

/* "backbone.layer.<n>.<rest>" of the twin is "backbone.layer.0.<rest>" of the looped one; keys of other
 * parameters are the same. to (96) */
static inline const char *loop_key(const char *key, char *to)
{
    (void)snprintf(to, 96, "%s", key);
    char *number = strstr(to, "layer.");
    if (number != NULL) {
        number[strlen("layer.")] = '0';
    }
    return to;
}

/* Values that depend on the looped family's key alone, so that the two compute the same. */
static inline void loop_fill(mtf_model *model)
{
    mtf_error err = {0};
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_real values[TINY_VOCABULARY * TINY_WIDTH];
        char key[96];
        mtf_model_get_param(model, i, &info);
        test_now.random = 17;
        for (const char *c = loop_key(info.key, key); *c != '\0'; c++) {
            test_now.random = 31 * test_now.random + (uint64_t)(unsigned char)*c;
        }
        test_fill(values, (size_t)info.size, -0.5, 0.5);
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
}

/* With the heads "cls" and "ner". */
static inline mtf_model *loop_model(const mtf_family *family)
{
    mtf_model *model = loop_new(family, TINY_WIDTH);
    loop_add_heads(model);
    loop_fill(model);
    return model;
}

#endif
