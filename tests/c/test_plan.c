/* Plans: what runs, what is kept and what gets a gradient in each freeze state; tied parameters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include "../../csrc/base/alloc.h"
#include "../../csrc/plan/plan.h"

/* Of a batch of 160 tokens in 10 sequences of 16, in the freeze state `frozen`; NULL: the model's. */
static mtf_plan_info price_frozen(mtf_model *model, int training, const char *output,
                                  const mtf_freeze_mask *frozen, mtf_plan_unit *units)
{
    int64_t offsets[11];
    for (int i = 0; i < 11; i++) {
        offsets[i] = 16 * i;
    }
    const char *names[1] = {output};
    const mtf_rows rows = {.space = "tokens", .offsets = offsets};
    const mtf_plan_request request = {.training = training,
                                      .n_outputs = 1,
                                      .outputs = names,
                                      .n_sequences = 10,
                                      .n_spaces = 1,
                                      .spaces = &rows,
                                      .token_budget = 4096,
                                      .frozen = frozen};
    mtf_plan_info info = {0};
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, units, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return info;
}

static mtf_plan_info price(mtf_model *model, int training, const char *output, mtf_plan_unit *units)
{
    return price_frozen(model, training, output, NULL, units);
}

MTF_TEST(inference_keeps_nothing)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_plan_info info = price(model, 0, "hidden", NULL);
    CHECK_INT(info.saved_bytes, 0);
    CHECK_INT(info.activation_grad_bytes, 0);
    CHECK_INT(info.n_backward, 0);
    CHECK(info.forward_flops > 0);
    mtf_model_free(model);
}

MTF_TEST(frozen_backbone_is_all_prefix)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_plan_unit units[8];
    tiny_freeze(model, (const char *const[]){"backbone", NULL});
    mtf_plan_info info = price(model, 1, "cls", units);
    CHECK_INT(info.n_backward, 3); /* two linears and the dropout between them */
    for (int u = 0; u < 4; u++) {
        CHECK_INT(units[u].in_prefix, 1);
        CHECK_INT(units[u].runs, 1);
        CHECK_INT(units[u].dropout, 0);
        CHECK_INT(units[u].saved_bytes, 0);
        CHECK(units[u].dx_flops + units[u].dw_flops == 0);
    }
    const mtf_plan_unit *cls = &units[tiny_unit(model, "cls")];
    const mtf_plan_unit *ner = &units[tiny_unit(model, "ner")];
    CHECK(cls->runs && cls->dropout && !cls->in_prefix && cls->saved_bytes > 0);
    CHECK(!ner->runs); /* heads of absent tasks do not run */
    mtf_model_free(model);
}

MTF_TEST(no_backward_below_the_lowest_trainable)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_plan_unit units[8];
    tiny_freeze(model, (const char *const[]){"backbone.embeddings", "backbone.layers[0]",
                                             "backbone.layers[2]", NULL});
    (void)price(model, 1, "cls", units);
    CHECK(units[0].in_prefix && units[1].in_prefix);
    CHECK(!units[2].in_prefix && !units[3].in_prefix);
    CHECK(units[0].dx_flops + units[1].dx_flops == 0);
    CHECK(units[2].dx_flops > 0 && units[2].dw_flops > 0);
    CHECK(units[3].dx_flops > 0 && units[3].dw_flops == 0); /* frozen above: dX yes, dW no */
    CHECK(units[2].dropout && !units[3].dropout);
    mtf_model_free(model);
}

MTF_TEST(a_partly_trainable_unit_ends_the_prefix)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_plan_unit units[8];
    uint8_t params[128], heads[8] = {0};
    mtf_error err = {0};
    memset(params, 1, sizeof params);
    params[tiny_param(model, "backbone.encoder.layer.1.output.dense.bias")] = 0;
    CHECK(mtf_model_set_frozen(model, params, mtf_model_n_params(model), heads,
                               mtf_model_n_units(model), &err) == MTF_OK);
    (void)price(model, 1, "cls", units);
    CHECK(units[0].in_prefix && units[1].in_prefix && !units[2].in_prefix && !units[3].in_prefix);
    CHECK(units[2].dropout && !units[3].dropout);
    mtf_model_free(model);
}

MTF_TEST(freezing_more_never_costs_more)
{
    mtf_model *model = tiny_model(0.1, "mean");
    static const char *const states[][6] = {
        {NULL},
        {"backbone.embeddings", NULL},
        {"backbone.embeddings", "backbone.layers[0]", NULL},
        {"backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]", NULL},
        {"backbone", NULL},
        {"backbone", "cls", "ner", NULL}};
    uint64_t last = UINT64_MAX;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        tiny_freeze(model, states[i]);
        mtf_plan_info info = price(model, 1, "cls", NULL);
        uint64_t bytes =
            info.gradient_bytes + info.moment_bytes + info.saved_bytes + info.activation_grad_bytes;
        CHECK(bytes < last);
        last = bytes;
    }
    mtf_model_free(model);
}

MTF_TEST(frozen_linears_do_not_keep_their_inputs)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_plan_unit whole[8], frozen[8];
    (void)price(model, 1, "cls", whole);
    tiny_freeze(model, (const char *const[]){"backbone.layers[2]", NULL});
    (void)price(model, 1, "cls", frozen);
    CHECK(frozen[3].saved_bytes < whole[3].saved_bytes);
    mtf_model_free(model);
}

/* x = E[ids]; hidden = x W; scores = hidden E^T: the table is used at both ends. */
static mtf_program *tied_program(void)
{
    mtf_program *p = mtf_program_new();
    int32_t tokens = mtf_program_space(p, "tokens", 8);
    mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, 10, 0);
    const int64_t table[2] = {10, 6}, square[2] = {6, 6};
    mtf_program_unit(p, "backbone.embeddings", 0);
    int32_t e = mtf_program_param(p, "word", 2, table, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ONE, 0);
    int32_t pos =
        mtf_program_param(p, "position", 2, table, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO, 0);
    mtf_tensor_id x = mtf_node_embedding(p, "sum", ids, MTF_NO_TENSOR, e, pos, -1, 0, -1);
    mtf_program_unit(p, "backbone.layers[0]", 0);
    int32_t w = mtf_program_param(p, "w", 2, square, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ONE, 0);
    x = mtf_node_linear(p, "w", x, w, -1, MTF_ACT_NONE);
    mtf_program_unit(p, "decoder", 0);
    mtf_program_alias(p, e, "decoder.weight");
    int32_t again =
        mtf_program_param(p, "decoder.weight", 2, table, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ONE, 0);
    CHECK_INT(again, e);
    mtf_program_output(p, "scores", mtf_node_linear(p, "decoder", x, again, -1, MTF_ACT_NONE));
    mtf_error err = {0};
    CHECK(mtf_program_finish(p, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return p;
}

MTF_TEST(a_tied_tensor_is_one_and_lies_at_its_lowest_use)
{
    mtf_program *p = tied_program();
    CHECK_INT(p->n_params, 3);
    CHECK_INT(p->params[0].unit, 0);
    CHECK_INT(p->params[0].in_products, 1); /* looked up and multiplied */
    CHECK_INT(p->params[1].in_products, 0);
    CHECK_INT(p->params[2].in_products, 1);
    mtf_param params[3] = {{0}};
    mtf_network network = {.program = p, .params = params};
    const mtf_tensor_id output = mtf_program_find_output(p, "scores");
    const mtf_request request = {.training = 1, .n_outputs = 1, .outputs = &output};
    mtf_plan *plan = NULL;
    mtf_error err = {0};
    /* Only the tied table trains: it is used below w, so w hands a gradient down. */
    params[1].frozen = params[2].frozen = 1;
    CHECK(mtf_plan_new(&network, 0, &request, &plan, &err) == MTF_OK);
    CHECK_INT(plan->n_backward, 3);
    CHECK_INT(plan->backward[0].need.dw, 1);
    CHECK_INT(plan->backward[1].need.dw, 0);
    CHECK_INT(plan->backward[2].need.dw, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(!plan->forward[i].in_prefix);
    }
    mtf_plan_free(plan);
    /* Frozen by either name, both uses are: nothing is left to train. */
    params[0].frozen = 1;
    CHECK(mtf_plan_new(&network, 0, &request, &plan, &err) == MTF_OK);
    CHECK_INT(plan->n_backward, 0);
    mtf_plan_free(plan);
    mtf_program_free(p);
}

MTF_TEST(short_lived_tensors_share_memory_without_overlap)
{
    mtf_model *model = tiny_model(0.1, "mean");
    const int before = mtf_threads_get();
    mtf_error err = {0};
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
    mtf_plan_info deep = price(model, 0, "hidden", NULL);
    /* Three layers need no more scratch than a few tensors of the widest layer. */
    CHECK(deep.worker_bytes < 160 * (20 + 7 * TINY_WIDTH) * sizeof(mtf_real) + 65536);
    CHECK(mtf_threads_set(before, &err) == MTF_OK);
    mtf_model_free(model);
}

/* The model's own freeze state as a mask in `params` (128) and `units` (8). */
static mtf_freeze_mask mask_of(const mtf_model *model, uint8_t *params, uint8_t *units)
{
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        params[i] = (uint8_t)info.frozen;
    }
    for (size_t u = 0; u < mtf_model_n_units(model); u++) {
        mtf_unit_info info;
        mtf_model_get_unit(model, u, &info);
        units[u] = (uint8_t)info.frozen;
    }
    return (mtf_freeze_mask){params, mtf_model_n_params(model), units, mtf_model_n_units(model)};
}

MTF_TEST(another_freeze_state_is_priced_as_if_it_were_set)
{
    static const char *const states[][4] = {{NULL},
                                            {"backbone.embeddings", "backbone.layers[0]", NULL},
                                            {"backbone", "ner", NULL},
                                            {"backbone", "cls", "ner", NULL}};
    mtf_model *model = tiny_model(0.1, "mean");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        uint8_t params[128], heads[8];
        mtf_plan_unit set_units[8] = {{0}}, asked_units[8] = {{0}};
        mtf_error err = {0};
        size_t n_set = 0, n_asked = 0;
        const char *const outputs[1] = {"cls"};
        const char *set_names[MTF_MAX_FEATURES], *asked_names[MTF_MAX_FEATURES];
        tiny_freeze(model, states[i]);
        const mtf_freeze_mask mask = mask_of(model, params, heads);
        const mtf_plan_info set = price(model, 1, "cls", set_units);
        CHECK(mtf_model_get_prefix(model, 1, 1, outputs, NULL, &n_set, set_names, &err) == MTF_OK);
        tiny_freeze(model, (const char *const[]){"backbone.layers[1]", NULL});
        const mtf_plan_info asked = price_frozen(model, 1, "cls", &mask, asked_units);
        CHECK(mtf_model_get_prefix(model, 1, 1, outputs, &mask, &n_asked, asked_names, &err) == 0);
        CHECK(memcmp(&set, &asked, sizeof set) == 0);
        CHECK(memcmp(set_units, asked_units, sizeof set_units) == 0);
        CHECK_INT(n_asked, (int64_t)n_set);
        for (size_t k = 0; k < n_set; k++) {
            CHECK_TEXT(asked_names[k], set_names[k]);
        }
    }
    mtf_model_free(model);
}

MTF_TEST(a_freeze_mask_of_another_model_is_refused)
{
    mtf_model *model = tiny_model(0, "mean");
    uint8_t params[128], heads[8];
    mtf_freeze_mask mask = mask_of(model, params, heads);
    mask.n_params--;
    const mtf_plan_request request = {.training = 1, .token_budget = 1, .frozen = &mask};
    mtf_plan_info info;
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_ERR_SHAPE);
    CHECK(strstr(err.text, "the freeze mask must have") != NULL);
    mtf_model_free(model);
}

/* The gradient of the classifier's first weight after a step whose forward waits while `n` plans are
 * priced, half of them in another freeze state. */
static mtf_real gradient_after(mtf_model *model, int n)
{
    uint8_t params[128] = {0}, heads[8] = {0};
    const mtf_freeze_mask nothing = {params, mtf_model_n_params(model), heads,
                                     mtf_model_n_units(model)};
    const char *const names[1] = {"cls"};
    const mtf_loss loss = {.output = "cls", .targets = tiny_labels_cls, .weight = 1.0};
    const mtf_train_options options = {.seed = 3, .dropout = 1};
    const double scale = 1.0;
    double sum;
    tiny_batch b;
    mtf_error err = {0};
    const uint64_t version = mtf_model_version(model);
    const int kept = tiny_param(model, "backbone.encoder.layer.0.output.dense.bias");
    const int trains = tiny_param(model, "cls.weight");
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    CHECK(mtf_train_forward(model, tiny_get_batch(&b, 4), 0, 1, names, NULL, &err) == MTF_OK);
    for (int i = 0; i < n; i++) {
        static const char *const outputs[] = {"cls", "ner", "hidden", "pooled", "embedding"};
        (void)price_frozen(model, i / 5 % 2, outputs[i % 5], i % 2 ? &nothing : NULL, NULL);
    }
    CHECK(mtf_train_backward(model, 1, &loss, &scale, &sum, 0, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    CHECK_INT((int64_t)mtf_model_version(model), (int64_t)version);
    mtf_param_info info;
    mtf_model_get_param(model, (size_t)kept, &info);
    CHECK(info.frozen && mtf_train_get_gradient(model, (size_t)kept) == NULL);
    const mtf_real *gradient = mtf_train_get_gradient(model, (size_t)trains);
    CHECK(gradient != NULL);
    return gradient != NULL ? gradient[0] : 0;
}

MTF_TEST(pricing_leaves_a_step_under_way_alone)
{
    mtf_model *model = tiny_model(0.1, "mean");
    tiny_freeze(model, (const char *const[]){"backbone.layers[0]", NULL});
    const mtf_real expected = gradient_after(model, 0);
    CHECK(gradient_after(model, 48) == expected); /* many more than the plans that are kept */
    mtf_model_free(model);
}
