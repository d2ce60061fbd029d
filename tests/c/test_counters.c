/* Operations counted while they are done are those that plans promise, in every freeze mode.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include "../../csrc/kernels/kernels.h"

#define ROWS   16
#define WIDTHS (ROWS * TINY_WIDTH)

static const mtf_rows TINY_ROWS = {.space = "tokens", .offsets = tiny_offsets};

/* Freezes units by prefix, then parameters whose keys hold none of `trains` (NULL: by units only). */
static void freeze(mtf_model *model, const char *const *units, const char *trains)
{
    uint8_t params[128], heads[16] = {0};
    mtf_error err = {0};
    tiny_freeze(model, units);
    if (trains == NULL) {
        return;
    }
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        params[i] = info.frozen || strstr(info.key, trains) == NULL;
    }
    CHECK(mtf_model_set_frozen(model, params, mtf_model_n_params(model), heads,
                               mtf_model_n_units(model), &err) == MTF_OK);
}

static mtf_plan_info price(mtf_model *model, int training, size_t n_outputs,
                           const char *const *outputs, size_t n_features,
                           const char *const *features, int64_t budget)
{
    const mtf_plan_request request = {.training = training,
                                      .n_outputs = n_outputs,
                                      .outputs = outputs,
                                      .n_sequences = TINY_SEQUENCES,
                                      .n_spaces = 1,
                                      .spaces = &TINY_ROWS,
                                      .n_features = n_features,
                                      .features = features,
                                      .token_budget = budget};
    mtf_plan_info info = {0};
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return info;
}

/* Trains once with the losses of these heads while counting; features NULL: from ids. */
static mtf_flops count(mtf_model *model, size_t n_outputs, const char *const *outputs,
                       size_t n_features, const char *const *features, int64_t budget)
{
    static mtf_real values[4][WIDTHS];
    mtf_feature carried[4];
    mtf_loss losses[2];
    mtf_error err = {0};
    tiny_batch tiny;
    mtf_batch batch = *tiny_get_batch(&tiny, TINY_SEQUENCES);
    for (size_t i = 0; i < n_features; i++) {
        const mtf_output output = {features[i], values[i]};
        CHECK(mtf_model_forward(model, &batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
        carried[i] = (mtf_feature){features[i], values[i]};
    }
    if (n_features > 0) {
        batch.n_inputs = 0;
        batch.n_features = n_features;
        batch.features = carried;
    }
    for (size_t i = 0; i < n_outputs; i++) {
        const int is_ner = strcmp(outputs[i], "ner") == 0;
        losses[i] = (mtf_loss){.output = outputs[i],
                               .targets = is_ner ? tiny_labels_ner : tiny_labels_cls,
                               .weight = 1.0};
    }
    const mtf_train_options options = {.seed = 3, .step = 5, .dropout = 1};
    mtf_flops flops;
    mtf_flops_count(1);
    CHECK(mtf_train_gradients(model, &batch, n_outputs, losses, 0, NULL, budget, &options, NULL,
                              NULL, &err) == MTF_OK);
    mtf_flops_count(0);
    CHECK_TEXT(err.text, "");
    mtf_flops_get(&flops);
    return flops;
}

typedef struct mode {
    const char *units[5];
    const char *trains;
    const char *features[3]; /* that may be given besides ids */
} mode;

static const mode MODES[] = {
    {{NULL}, NULL, {NULL}},
    {{"backbone"}, NULL, {"hidden", "embedding"}},
    {{"backbone"}, NULL, {"hidden_states.1"}},
    {{"backbone.embeddings"}, NULL, {"hidden_states.0"}},
    {{"backbone.embeddings", "backbone.layers[0]"}, NULL, {"hidden_states.1"}},
    {{"backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]"},
     NULL,
     {"hidden_states.1"}},
    {{"backbone.layers[2]"}, NULL, {NULL}},                        /* above what trains */
    {{"backbone.embeddings", "backbone.layers[1]"}, NULL, {NULL}}, /* between */
    {{"cls"}, NULL, {NULL}},
    {{"ner"}, NULL, {NULL}},
    {{"backbone", "cls"}, NULL, {"hidden_states.2", "pooled"}},
    {{"backbone", "cls", "ner"}, NULL, {"hidden", "pooled"}},
    {{NULL}, "bias", {NULL}},
    {{NULL}, "LayerNorm", {NULL}},
    {{NULL}, "embeddings.position_embeddings", {NULL}},
    {{"backbone.embeddings"}, "value.weight", {NULL}},
    {{"backbone.embeddings"}, "layer.0.attention.self.value.weight", {"hidden_states.0"}},
    {{"backbone.embeddings"}, "layer.1.attention.self.query.bias", {"hidden_states.1"}},
    {{"backbone.embeddings"}, "layer.2.intermediate.dense.weight", {"hidden_states.2"}},
};

static void check_mode(mtf_model *model, const mode *m, size_t n_outputs,
                       const char *const *outputs)
{
    static const int64_t budgets[] = {4096, 6};
    size_t n_features = 0;
    while (n_features < 3 && m->features[n_features] != NULL) {
        n_features++;
    }
    freeze(model, m->units, m->trains);
    for (int b = 0; b < 2; b++) {
        for (size_t n = 0; n <= n_features; n += n_features > 0 ? n_features : 1) {
            const mtf_plan_info plan =
                price(model, 1, n_outputs, outputs, n, m->features, budgets[b]);
            const mtf_flops found = count(model, n_outputs, outputs, n, m->features, budgets[b]);
            CHECK(found.forward == plan.forward_flops);
            CHECK(found.dx == plan.dx_flops);
            CHECK(found.dw == plan.dw_flops);
        }
    }
}

MTF_TEST(counted_is_what_the_plan_says)
{
    static const char *const both[2] = {"cls", "ner"};
    static const char *const poolings[] = {"mean", "cls", "pooler",
                                           "max+weightedmean+mean_sqrt_len_tokens"};
    for (int p = 0; p < 4; p++) {
        for (int dropout = 0; dropout < 2; dropout++) {
            const double rate = dropout ? 0.1 : 0;
            mtf_model *model =
                p < 3 ? tiny_model(rate, poolings[p]) : tiny_dense_model(rate, poolings[p]);
            for (size_t i = 0; i < sizeof MODES / sizeof MODES[0]; i++) {
                check_mode(model, &MODES[i], 2, both);
                check_mode(model, &MODES[i], 1, both);
                check_mode(model, &MODES[i], 1, both + 1);
            }
            mtf_model_free(model);
        }
    }
}

MTF_TEST(the_numbers_are_those_of_the_formulas)
{
    mtf_model *model = tiny_model(0, "mean");
    static const char *const both[2] = {"cls", "ner"};
    const double ner = ROWS * 4.0 * TINY_WIDTH * 2; /* one product of the token head */
    const double dropout = ROWS * TINY_WIDTH;       /* of its input, while it trains */
    tiny_freeze(model, (const char *const[]){"backbone", NULL});
    /* Only the head trains: no gradient of activations; its weight and its bias. */
    mtf_flops found = count(model, 1, both + 1, 0, NULL, 4096);
    CHECK(found.dx == 0);
    CHECK(found.dw == ner + ROWS * 4.0);
    /* From the features nothing else runs forward either. */
    found = count(model, 1, both + 1, 1, (const char *const[]){"hidden"}, 4096);
    CHECK(found.forward == dropout + ner + ROWS * 4.0);
    /* A frozen head in between costs its gradient of activations and saves that of weights. */
    tiny_freeze(model, (const char *const[]){NULL});
    const mtf_flops all = count(model, 1, both + 1, 0, NULL, 4096);
    tiny_freeze(model, (const char *const[]){"ner", NULL});
    found = count(model, 1, both + 1, 0, NULL, 4096);
    CHECK(found.forward == all.forward - dropout && found.dx == all.dx - dropout);
    CHECK(found.dw == all.dw - ner - ROWS * 4.0);
    /* Everything frozen: forward for the loss alone. */
    tiny_freeze(model, (const char *const[]){"backbone", "ner", NULL});
    found = count(model, 1, both + 1, 0, NULL, 4096);
    CHECK(found.forward == all.forward - dropout && found.dx == 0 && found.dw == 0);
    /* The other head does not run. */
    const mtf_flops joint = count(model, 2, both, 0, NULL, 4096);
    CHECK(joint.forward > found.forward);
    mtf_model_free(model);
}

MTF_TEST(inference_is_counted_too)
{
    mtf_model *model = tiny_model(0.1, "mean");
    static mtf_real values[WIDTHS], more[WIDTHS];
    static const char *const names[2] = {"cls", "ner"};
    static const char *const given[1] = {"hidden_states.1"};
    mtf_error err = {0};
    tiny_batch tiny;
    mtf_flops found;
    const mtf_output outputs[2] = {{"cls", values}, {"ner", more}};
    mtf_flops_count(1);
    CHECK(mtf_model_forward(model, tiny_get_batch(&tiny, TINY_SEQUENCES), 2, outputs, MTF_AS_FROZEN,
                            &err) == 0);
    mtf_flops_get(&found);
    mtf_flops_count(0);
    const mtf_plan_info plan = price(model, 0, 2, names, 0, NULL, 0);
    CHECK(found.forward == plan.forward_flops && found.dx == 0 && found.dw == 0);
    CHECK(price(model, 0, 2, names, 1, given, 0).forward_flops < plan.forward_flops);
    mtf_model_free(model);
}

MTF_TEST(counting_changes_no_bits_and_stops)
{
    mtf_model *model = tiny_model(0.1, "mean");
    const mtf_kernels *table = mtf_kernel;
    mtf_error err = {0};
    mtf_flops first, later;
    double plain[2], counted[2];
    CHECK(tiny_gradients(model, 7, 0, 1, plain, &err) == MTF_OK);
    mtf_flops_count(1);
    mtf_flops_count(1);
    CHECK(mtf_kernel != table);
    CHECK(tiny_gradients(model, 7, 0, 1, counted, &err) == MTF_OK);
    CHECK_BITS(plain, counted, sizeof plain);
    mtf_flops_get(&first);
    mtf_flops_count(0);
    CHECK(mtf_kernel == table);
    CHECK(tiny_gradients(model, 7, 0, 1, counted, &err) == MTF_OK);
    mtf_flops_get(&later);
    CHECK(first.forward > 0 && first.forward == later.forward && first.dw == later.dw);
    mtf_flops_count(1);
    mtf_flops_get(&later);
    CHECK(later.forward == 0 && later.dx == 0 && later.dw == 0);
    mtf_flops_count(0);
    mtf_model_free(model);
}
