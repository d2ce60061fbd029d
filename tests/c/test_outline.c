/* Outlines: the parameters of a model before it is made, without their memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

static uint64_t bytes_now(void)
{
    mtf_memory_info info;
    mtf_memory_get(&info);
    return info.bytes_now;
}

static mtf_config *head_config(const char *kind, int64_t n_labels)
{
    const int64_t hidden[] = {5};
    mtf_config *c = mtf_config_new();
    CHECK(mtf_config_set_text(c, "kind", kind) == MTF_OK);
    CHECK(mtf_config_set_int(c, "n_labels", n_labels) == MTF_OK);
    CHECK(mtf_config_set_ints(c, "hidden", hidden, 1) == MTF_OK);
    return c;
}

/* The outline of tiny_model() with its first head. */
static mtf_outline *tiny_outline(void)
{
    mtf_error err = {0};
    mtf_outline *outline = NULL;
    mtf_config *c = tiny_config(0, "mean");
    mtf_config *head = head_config("sequence_classification", 3);
    CHECK(mtf_outline_new(c, &outline, &err) == MTF_OK);
    CHECK(mtf_outline_add_head(outline, "cls", head, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    mtf_config_free(c);
    mtf_config_free(head);
    return outline;
}

MTF_TEST(an_outline_has_the_parameters_of_the_model)
{
    mtf_error err = {0};
    mtf_model *model = tiny_model(0, "mean");
    CHECK(mtf_model_remove_head(model, "ner", &err) == MTF_OK);
    mtf_outline *outline = tiny_outline();
    CHECK_INT(mtf_outline_n_params(outline), mtf_model_n_params(model));
    for (size_t i = 0; i < mtf_outline_n_params(outline); i++) {
        mtf_param_info named, made;
        mtf_outline_get_param(outline, i, &named);
        mtf_model_get_param(model, i, &made);
        CHECK_TEXT(named.key, made.key);
        CHECK_INT(named.unit, made.unit);
        CHECK_INT(named.n_dims, made.n_dims);
        CHECK_BITS(named.shape, made.shape, (size_t)made.n_dims * sizeof made.shape[0]);
        CHECK_INT(named.size, made.size);
        CHECK_INT(named.n_aliases, made.n_aliases);
        CHECK(named.data == NULL);
    }
    mtf_outline_free(outline);
    mtf_model_free(model);
}

MTF_TEST(an_outline_takes_no_memory_for_values)
{
    mtf_error err = {0};
    const uint64_t start = bytes_now();
    mtf_config *c = tiny_config(0, "mean");
    CHECK(mtf_config_set_int(c, "vocab_size", INT64_C(1) << 24) == MTF_OK);
    mtf_outline *outline = NULL;
    CHECK(mtf_outline_new(c, &outline, &err) == MTF_OK);
    CHECK(bytes_now() - start < 1 << 20);
    mtf_outline_free(outline);
    mtf_config_free(c);
    mtf_outline_free(NULL);
    CHECK_INT(bytes_now(), start);
}

MTF_TEST(what_cannot_be_built_has_no_outline)
{
    mtf_error err = {0};
    const uint64_t start = bytes_now();
    mtf_outline *outline = NULL;
    mtf_config *c = tiny_config(0, "mean");
    CHECK(mtf_config_set_text(c, "model_type", "bart") == MTF_OK);
    CHECK_INT(mtf_outline_new(c, &outline, &err), MTF_ERR_CONFIG);
    CHECK(mtf_config_set_text(c, "model_type", "bert") == MTF_OK);
    CHECK(mtf_config_set_text(c, "hidden_act", "swiglu") == MTF_OK);
    CHECK_INT(mtf_outline_new(c, &outline, &err), MTF_ERR_CONFIG);
    CHECK(outline == NULL);
    mtf_config_free(c);
    c = tiny_config(0, "mean");
    CHECK(mtf_outline_new(c, &outline, &err) == MTF_OK);
    mtf_config *head = head_config("unknown", 3);
    CHECK_INT(mtf_outline_add_head(outline, "cls", head, &err), MTF_ERR_CONFIG);
    mtf_config_free(head);
    head = head_config("sequence_classification", -1);
    CHECK_INT(mtf_outline_add_head(outline, "cls", head, &err), MTF_ERR_CONFIG);
    mtf_config_free(head);
    mtf_outline_free(outline);
    mtf_config_free(c);
    CHECK_INT(bytes_now(), start);
}

MTF_TEST(memory_that_is_short_is_given_back)
{
    const uint64_t start = bytes_now();
    mtf_error err = {0};
    mtf_config *c = tiny_config(0, "mean");
    const uint64_t before = bytes_now();
    uint64_t n = 1;
    mtf_outline *outline = NULL;
    for (; outline == NULL && n < 5000; n++) {
        mtf_memory_fail_after(n);
        const mtf_status status = mtf_outline_new(c, &outline, &err);
        mtf_memory_fail_after(0);
        CHECK(status == MTF_OK || status == MTF_ERR_MEMORY);
        if (outline == NULL) {
            CHECK_INT(bytes_now(), before);
        }
    }
    CHECK(n > 20 && outline != NULL);
    mtf_outline_free(outline);
    mtf_config_free(c);
    CHECK_INT(bytes_now(), start);
}
