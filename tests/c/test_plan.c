/* Plans: what runs, what is kept and what gets a gradient in each freeze state; tied parameters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include "../../csrc/base/alloc.h"
#include "../../csrc/plan/plan.h"

/* Of a batch of 160 tokens in 10 sequences of 16. */
static mtf_plan_info price(mtf_model *model, int training, const char *output, mtf_plan_unit *units)
{
    int64_t offsets[11];
    for (int i = 0; i < 11; i++) {
        offsets[i] = 16 * i;
    }
    const char *names[1] = {output};
    const mtf_rows rows = {"tokens", offsets};
    const mtf_plan_request request = {.training = training,
                                      .n_outputs = 1,
                                      .outputs = names,
                                      .n_sequences = 10,
                                      .n_spaces = 1,
                                      .spaces = &rows,
                                      .token_budget = 4096};
    mtf_plan_info info = {0};
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, units, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return info;
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
    mtf_tensor_id x = mtf_node_embedding(p, "sum", ids, MTF_NO_TENSOR, e, pos, -1, 0);
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
