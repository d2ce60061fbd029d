/* Memory of a step: as many bytes as the plan says, and nothing kept that backward does not read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include "../../csrc/object/object.h"

#define MOST_VALUES 20000

static const mtf_rows TINY_ROWS = {.space = "tokens", .offsets = tiny_offsets};
static const char *const BOTH[2] = {"cls", "ner"};

typedef struct mode {
    const char *units[5];
    const char *trains; /* only parameters whose keys hold this train; NULL: all of the others */
} mode;

static const mode MODES[] = {
    {{NULL}, NULL},
    {{"backbone"}, NULL},
    {{"backbone.embeddings", "backbone.layers[0]"}, NULL},
    {{"backbone.layers[2]"}, NULL},
    {{"backbone.embeddings", "backbone.layers[1]"}, NULL},
    {{"cls"}, NULL},
    {{"backbone", "ner"}, NULL},
    {{"cls", "ner"}, NULL},
    {{NULL}, "bias"},
    {{NULL}, "LayerNorm"},
    {{NULL}, "LayerNorm.bias"},
    {{NULL}, "word_embeddings"},
    {{"backbone.embeddings"}, "layer.0.attention.self.value.weight"},
    {{"backbone.embeddings"}, "layer.1.attention.self.query.weight"},
    {{"backbone.embeddings"}, "layer.1.attention.self.key.weight"},
    {{"backbone.embeddings"}, "layer.2.intermediate.dense.weight"},
    {{"backbone.embeddings"}, "layer.2.output.dense.weight"},
};
enum { N_MODES = sizeof MODES / sizeof MODES[0] };

static mtf_model *model_in(const mode *m, const char *pooling)
{
    uint8_t params[128], heads[16] = {0};
    mtf_error err = {0};
    test_now.random = 5;
    mtf_model *model = tiny_model(0.1, pooling);
    tiny_freeze(model, m->units);
    for (size_t i = 0; m->trains != NULL && i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        params[i] = info.frozen || strstr(info.key, m->trains) == NULL;
    }
    if (m->trains != NULL) {
        CHECK(mtf_model_set_frozen(model, params, mtf_model_n_params(model), heads,
                                   mtf_model_n_units(model), &err) == MTF_OK);
    }
    return model;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static mtf_plan_info price(mtf_model *model, size_t n, const char *const *outputs, int64_t budget,
                           int save_bf16)
{
    const mtf_plan_request request = {.training = 1,
                                      .n_outputs = n,
                                      .outputs = outputs,
                                      .n_sequences = TINY_SEQUENCES,
                                      .n_spaces = 1,
                                      .spaces = &TINY_ROWS,
                                      .token_budget = budget,
                                      .save_bf16 = save_bf16};
    mtf_plan_info info = {0};
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return info;
}

static void step_and_compare(const mode *m, size_t n, const char *const *outputs, int64_t budget,
                             int save_bf16)
{
    mtf_model *model = model_in(m, "mean");
    const mtf_plan_info plan = price(model, n, outputs, budget, save_bf16);
    double rates[128] = {0};
    mtf_error err = {0};
    mtf_update_result result;
    mtf_memory_info with_state, without;
    tiny_batch b;
    const mtf_loss losses[2] = {
        {.output = outputs[0],
         .targets = strcmp(outputs[0], "cls") ? tiny_labels_ner : tiny_labels_cls,
         .weight = 1.0},
        {.output = "ner", .targets = tiny_labels_ner, .weight = 0.5}};
    const mtf_train_options options = {.dropout = 1, .save_bf16 = save_bf16};
    const mtf_update update = {rates, rates, 0.9, 0.999, 1e-8, 1.0};
    CHECK(mtf_train_gradients(model, tiny_get_batch(&b, TINY_SEQUENCES), n, losses, 0, NULL, budget,
                              &options, NULL, NULL, &err) == MTF_OK);
    CHECK(mtf_train_apply(model, &update, &result, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    CHECK_INT(model->workspace.saved_size * sizeof(mtf_real) +
                  model->workspace.halves_size * sizeof(uint16_t),
              plan.saved_bytes);
    CHECK_INT(model->workspace.gradients_size * sizeof(mtf_real), plan.activation_grad_bytes);
    CHECK_INT(model->workspace.workers_size * sizeof(mtf_real), plan.worker_bytes);
    CHECK_INT((model->workspace.shared_size + model->workspace.widened_size) * sizeof(mtf_real),
              plan.shared_bytes);
    mtf_memory_get(&with_state);
    tiny_freeze(model, (const char *const[]){"backbone", "cls", "ner", NULL}); /* lets it go */
    mtf_memory_get(&without);
    CHECK_INT(with_state.bytes_now - without.bytes_now,
              plan.gradient_bytes + plan.moment_bytes + plan.row_bytes);
    mtf_model_free(model);
}

MTF_TEST(a_step_reserves_what_the_plan_says)
{
    static const int64_t budgets[] = {4096, 7, 1};
    const int before = mtf_threads_get();
    mtf_error err = {0};
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(mtf_threads_set(threads, &err) == MTF_OK);
        for (int i = 0; i < N_MODES; i++) {
            for (int b = 0; b < 3; b++) {
                step_and_compare(&MODES[i], 2, BOTH, budgets[b], 0);
                step_and_compare(&MODES[i], 1, BOTH, budgets[b], 0);
                step_and_compare(&MODES[i], 1, BOTH + 1, budgets[b], 0);
                step_and_compare(&MODES[i], 2, BOTH, budgets[b], 1);
            }
        }
    }
    CHECK(mtf_threads_set(before, &err) == MTF_OK);
}

/* ---- what is saved -------------------------------------------------------------------------------- */

static void run_forward(mtf_model *model, tiny_batch *b, int save_bf16)
{
    const mtf_train_options options = {.seed = 2, .dropout = 1, .save_bf16 = save_bf16};
    mtf_error err = {0};
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    CHECK(mtf_train_forward(model, tiny_get_batch(b, TINY_SEQUENCES), 0, 2, BOTH, NULL, &err) == 0);
    CHECK_TEXT(err.text, "");
}

/* Losses (2) and all gradients, one after another; returns how many. */
static size_t run_backward(mtf_model *model, mtf_real *all)
{
    const mtf_loss losses[2] = {{.output = "cls", .targets = tiny_labels_cls, .weight = 1.0},
                                {.output = "ner", .targets = tiny_labels_ner, .weight = 0.5}};
    const double scale[2] = {1.0, 0.5};
    double sums[2];
    mtf_error err = {0};
    size_t n = 2;
    CHECK(mtf_train_backward(model, 2, losses, scale, sums, 0, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    all[0] = (mtf_real)sums[0];
    all[1] = (mtf_real)sums[1];
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *gradient = mtf_train_get_gradient(model, i);
        if (gradient != NULL) {
            memcpy(all + n, gradient, (size_t)info.size * sizeof *all);
            n += (size_t)info.size;
        }
    }
    CHECK(n <= MOST_VALUES);
    return n;
}

/* First element and number of elements of a saved region. */
static mtf_real *region_of(const mtf_model *model, int32_t r, size_t *n)
{
    const mtf_region *region = &model->session.plan->saved.regions[r];
    *n = (size_t)(model->workspace.now.rows[region->space] * region->width);
    return model->workspace.saved + model->workspace.saved_starts[r];
}

/* The same of a region of halves. */
static uint16_t *half_region_of(const mtf_model *model, int32_t r, size_t *n)
{
    const mtf_region *region = &model->session.plan->halves.regions[r];
    *n = (size_t)(model->workspace.now.rows[region->space] * region->width);
    return model->workspace.halves + model->workspace.halves_starts[r];
}

/* What is kept in bfloat16 is written and read too; and with it a step's gradients are those of a
 * step that keeps all of it whole, but for the rounding. */
static void check_halves(const mode *m, const char *pooling)
{
    static mtf_real whole[MOST_VALUES], expected[MOST_VALUES], found[MOST_VALUES];
    mtf_model *model = model_in(m, pooling);
    tiny_batch b;
    double distance = 0, norm = 0;
    run_forward(model, &b, 0);
    const int32_t n_whole_regions = model->session.plan->saved.n_regions;
    const size_t n_whole = run_backward(model, whole);
    run_forward(model, &b, 1);
    const int32_t n_regions = model->session.plan->halves.n_regions;
    CHECK_INT(model->session.plan->saved.n_regions + n_regions, n_whole_regions);
    CHECK_INT(run_backward(model, expected), n_whole);
    CHECK(expected[0] == whole[0] && expected[1] == whole[1]); /* losses: forward reads no half */
    for (size_t i = 2; i < n_whole; i++) {
        distance +=
            ((double)expected[i] - (double)whole[i]) * ((double)expected[i] - (double)whole[i]);
        norm += (double)whole[i] * (double)whole[i];
    }
    CHECK(distance <=
          1e-3 * norm); /* 3 %: rounding to 0.4 %, of which keys' gradients are differences */
    for (int32_t r = 0; r < n_regions; r++) {
        size_t n;
        run_forward(model, &b, 1);
        uint16_t *values = half_region_of(model, r, &n);
        for (size_t i = 0; i < n; i++) {
            values[i] = (uint16_t)(values[i] ^ 0x41); /* another fraction, sign and size kept */
        }
        CHECK_INT(run_backward(model, found), n_whole);
        CHECK(memcmp(expected, found, n_whole * sizeof *found) != 0); /* it was read */
    }
    mtf_model_free(model);
}

static void check_saved(const mode *m, const char *pooling)
{
    static mtf_real expected[MOST_VALUES], found[MOST_VALUES];
    const uint32_t pattern = 0x7fc0beef; /* a NaN that no operation makes */
    mtf_model *model = model_in(m, pooling);
    tiny_batch b;
    run_forward(model, &b, 0);
    for (size_t i = 0; i < model->workspace.saved_size; i++) {
        memcpy(model->workspace.saved + i, &pattern, sizeof pattern);
    }
    run_forward(model, &b, 0);
    const int32_t n_regions = model->session.plan->saved.n_regions;
    CHECK(n_regions > 0);
    for (int32_t r = 0; r < n_regions; r++) {
        size_t n, n_left = 0;
        const mtf_real *values = region_of(model, r, &n);
        for (size_t i = 0; i < n; i++) {
            n_left += memcmp(values + i, &pattern, sizeof pattern) == 0;
        }
        CHECK_INT(n_left, 0); /* all was written */
    }
    const size_t n_expected = run_backward(model, expected);
    for (int32_t r = 0; r < n_regions; r++) {
        size_t n;
        run_forward(model, &b, 0);
        mtf_real *values = region_of(model, r, &n);
        for (size_t i = 0; i < n; i++) {
            values[i] = values[i] * (mtf_real)1.25 + (mtf_real)0.125;
        }
        CHECK_INT(run_backward(model, found), n_expected);
        CHECK(memcmp(expected, found, n_expected * sizeof *found) != 0); /* it was read */
    }
    mtf_model_free(model);
}

MTF_TEST(what_is_saved_is_written_and_read)
{
    static const char *const poolings[] = {"mean", "cls", "pooler"};
    for (int p = 0; p < 3; p++) {
        for (int i = 0; i < N_MODES; i++) {
            check_saved(&MODES[i], poolings[p]);
            check_halves(&MODES[i], poolings[p]);
        }
    }
}

MTF_TEST(the_table_of_an_identity_reaches_the_end_of_the_last_sequence)
{
    mtf_error err = {MTF_OK, ""};
    for (int64_t first = 0; first < 9; first++) {
        mtf_workspace w = {0};
        for (int64_t n = first; n < 40; n++) {
            CHECK(mtf_workspace_identity(&w, n, &err) == MTF_OK);
            if (CHECK(w.identity_size > n)) {
                CHECK_INT(w.identity[n], n);
                CHECK_INT(w.none[n], 0);
            }
        }
        mtf_workspace_clear(&w);
    }
}
