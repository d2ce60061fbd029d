/* Memory of heads: what a removed head took is given back, packed forms too; held values stay.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#define WIDTH  256 /* a layer of this width is multiplied over packed forms in bf16 */
#define LABELS 3

static uint64_t bytes_now(void)
{
    mtf_memory_info info;
    mtf_memory_get(&info);
    return info.bytes_now;
}

static mtf_status add_head(mtf_model *model)
{
    mtf_error err = {0};
    return tiny_add_head(model, "wide", "sequence_classification", LABELS, WIDTH, NULL, &err);
}

static mtf_model *wide_model(void)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    mtf_config *c = tiny_config(0, "mean");
    CHECK(mtf_config_set_int(c, "hidden_size", WIDTH) == MTF_OK);
    CHECK(mtf_config_set_int(c, "num_attention_heads", 4) == MTF_OK);
    CHECK(mtf_model_new(c, &model, &err) == MTF_OK);
    mtf_config_free(c);
    return model;
}

/* In bf16, so that forms are made at every level. */
static void run(mtf_model *model, const char *output)
{
    static mtf_real values[TINY_SEQUENCES * WIDTH];
    tiny_batch b;
    mtf_error err = {0};
    const mtf_output wanted = {output, values};
    CHECK(mtf_model_forward(model, tiny_get_batch(&b, TINY_SEQUENCES), 1, &wanted,
                            MTF_PRECISION_BF16, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

/* Bytes of a model that has had a wide head, which ran before or after its backbone alone did. */
static uint64_t bytes_after_a_head(int backbone_first)
{
    const uint64_t start = bytes_now();
    mtf_error err = {0};
    mtf_model *model = wide_model();
    if (backbone_first) {
        run(model, "pooled");
    }
    CHECK(add_head(model) == MTF_OK);
    run(model, "wide");
    CHECK(mtf_model_remove_head(model, "wide", &err) == MTF_OK);
    const uint64_t bytes = bytes_now() - start;
    mtf_model_free(model);
    CHECK_INT(bytes_now(), start);
    return bytes;
}

MTF_TEST(a_removed_head_leaves_no_form_behind)
{
    CHECK_INT(bytes_after_a_head(0), bytes_after_a_head(1));
}

MTF_TEST(heads_that_come_and_go_take_no_memory)
{
    mtf_error err = {0};
    mtf_model *model = wide_model();
    uint64_t expected = 0;
    for (int i = 0; i < 5; i++) {
        CHECK(add_head(model) == MTF_OK);
        run(model, "wide");
        CHECK(mtf_model_remove_head(model, "wide", &err) == MTF_OK);
        expected = i == 0 ? bytes_now() : expected;
        CHECK_INT(bytes_now(), expected);
    }
    mtf_model_free(model);
}

MTF_TEST(held_values_outlive_head_and_model)
{
    const uint64_t start = bytes_now();
    mtf_error err = {0};
    mtf_param_info info;
    mtf_real expected[WIDTH * LABELS];
    mtf_model *model = wide_model();
    CHECK(add_head(model) == MTF_OK);
    const size_t at = (size_t)tiny_param(model, "wide.weight");
    mtf_model_get_param(model, at, &info);
    memcpy(expected, info.data, sizeof expected);
    mtf_values *held = mtf_model_hold_values(model, at);
    mtf_values *again = mtf_model_hold_values(model, at);
    CHECK(mtf_model_remove_head(model, "wide", &err) == MTF_OK);
    CHECK(add_head(model) == MTF_OK);
    CHECK_BITS(expected, info.data, sizeof expected);
    mtf_values_release(again);
    mtf_model_free(model);
    CHECK_BITS(expected, info.data, sizeof expected);
    mtf_values_release(held);
    mtf_values_release(NULL);
    CHECK_INT(bytes_now(), start);
}
