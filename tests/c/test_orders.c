/* Orders of calls: whatever comes between a forward and its backward, or around a step, the core answers
 * with a status and touches no memory that is gone (the sanitizers watch); and what mtfreeze.h calls
 * harmless changes no bit. Counts at the ends of their range.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

/* Sequences: more than the tables of a fresh workspace hold, and work enough for several threads. */
#define MANY 400

static mtf_real ones[MANY * TINY_WIDTH];
static const mtf_injection injection = {"pooled", ones};
static const char *const pooled[1] = {"pooled"};

/* MANY sequences of one token. */
static const mtf_batch *many(tiny_batch *b, int32_t id)
{
    static int64_t offsets[MANY + 1];
    static int32_t ids[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        offsets[i + 1] = i + 1;
        ids[i] = id;
    }
    b->rows = (mtf_rows){.space = "tokens", .offsets = offsets};
    b->inputs[0] = (mtf_input){"ids", ids};
    b->batch = (mtf_batch){MANY, 1, &b->rows, 1, b->inputs, 0, NULL};
    return &b->batch;
}

static mtf_status forward(mtf_model *model, tiny_batch *b, mtf_error *err)
{
    return mtf_train_forward(model, tiny_get_batch(b, TINY_SEQUENCES), 0, 1, pooled, NULL, err);
}

static mtf_status backward(mtf_model *model, mtf_error *err)
{
    return mtf_train_backward(model, 0, NULL, NULL, NULL, 1, &injection, err);
}

static mtf_status apply(mtf_model *model, mtf_error *err)
{
    static double rates[128], decays[128];
    for (int i = 0; i < 128; i++) {
        rates[i] = 1e-2;
    }
    const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
    mtf_update_result result;
    return mtf_train_apply(model, &update, &result, err);
}

/* A model with a step under way. */
static mtf_model *begun(void)
{
    mtf_error err = {0};
    const mtf_train_options options = {0};
    test_now.random = 11; /* the same weights each time */
    mtf_model *model = tiny_model(0, "mean");
    for (int i = 0; i < MANY * TINY_WIDTH; i++) {
        ones[i] = 1;
    }
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    return model;
}

/* Gradients of the backbone, one after another. */
static size_t gradients(const mtf_model *model, mtf_real *to)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *gradient = mtf_train_get_gradient(model, i);
        if (gradient != NULL) {
            memcpy(to + n, gradient, (size_t)info.size * sizeof *to);
            n += (size_t)info.size;
        }
    }
    return n;
}

/* ---- what comes between a forward and its backward --------------------------------------------- */

static mtf_status forward_many(mtf_model *model, int32_t id, int precision, const char *output)
{
    static mtf_real values[MANY * TINY_WIDTH];
    tiny_batch b;
    mtf_error err = {0};
    const mtf_output wanted = {output, values};
    return mtf_model_forward(model, many(&b, id), 1, &wanted, precision, &err);
}

static mtf_status between_forward(mtf_model *model)
{
    return forward_many(model, 2, MTF_AS_FROZEN, "pooled");
}

static mtf_status between_forward_bad_id(mtf_model *model)
{
    return forward_many(model, TINY_VOCABULARY, MTF_AS_FROZEN, "pooled");
}

static mtf_status between_forward_bad_precision(mtf_model *model)
{
    return forward_many(model, 2, 7, "pooled");
}

static mtf_status between_forward_bad_output(mtf_model *model)
{
    return forward_many(model, 2, MTF_AS_FROZEN, "nothing");
}

static mtf_status between_train_forward_bad_number(mtf_model *model)
{
    tiny_batch b;
    mtf_error err = {0};
    return mtf_train_forward(model, tiny_get_batch(&b, 1), -1, 1, pooled, NULL, &err);
}

static mtf_status between_outputs_bad_budget(mtf_model *model)
{
    tiny_batch b;
    mtf_error err = {0};
    int waits = 0;
    return mtf_train_outputs(model, tiny_get_batch(&b, 1), 0, NULL, 0, &waits, &err);
}

static mtf_status between_gradients(mtf_model *model)
{
    mtf_error err = {0};
    double means[2];
    return tiny_gradients(model, 4096, 0, 0, means, &err);
}

static mtf_status between_gradients_bad_budget(mtf_model *model)
{
    mtf_error err = {0};
    double means[2];
    return tiny_gradients(model, 0, 0, 0, means, &err);
}

static mtf_status between_begin(mtf_model *model)
{
    mtf_error err = {0};
    const mtf_train_options options = {.step = 1};
    return mtf_train_begin(model, &options, &err);
}

static mtf_status between_apply(mtf_model *model)
{
    mtf_error err = {0};
    return apply(model, &err);
}

static mtf_status between_reset(mtf_model *model)
{
    mtf_train_reset(model);
    return MTF_OK;
}

static mtf_status between_set_param(mtf_model *model)
{
    mtf_error err = {0};
    return mtf_model_set_param(model, 0, (mtf_real[TINY_VOCABULARY * TINY_WIDTH]){0},
                               TINY_VOCABULARY * TINY_WIDTH, &err);
}

static mtf_status between_freeze(mtf_model *model)
{
    const char *const all[] = {"", NULL};
    tiny_freeze(model, all);
    return MTF_OK;
}

static mtf_status between_set_precision(mtf_model *model)
{
    static const uint8_t precisions[128];
    mtf_error err = {0};
    return mtf_model_set_precision(model, precisions, mtf_model_n_params(model), &err);
}

static mtf_status between_add_head(mtf_model *model)
{
    mtf_error err = {0};
    return tiny_add_head(model, "more", "token_classification", 2, 0, NULL, &err);
}

static mtf_status between_remove_head(mtf_model *model)
{
    mtf_error err = {0};
    return mtf_model_remove_head(model, "ner", &err);
}

MTF_TEST(what_ends_the_waiting_of_a_forward)
{
    static const struct {
        mtf_status (*call)(mtf_model *model);
        mtf_status status;
        const char *name;
    } cases[] = {
        {between_forward, MTF_OK, "forward"},
        {between_forward_bad_id, MTF_ERR_VALUE, "forward with a bad id"},
        {between_forward_bad_precision, MTF_ERR_VALUE, "forward in a bad precision"},
        {between_forward_bad_output, MTF_ERR_NAME, "forward of a bad output"},
        {between_train_forward_bad_number, MTF_ERR_VALUE, "train_forward of a bad number"},
        {between_outputs_bad_budget, MTF_ERR_VALUE, "train_outputs with a bad budget"},
        {between_gradients, MTF_OK, "train_gradients"},
        {between_gradients_bad_budget, MTF_ERR_VALUE, "train_gradients with a bad budget"},
        {between_begin, MTF_OK, "train_begin"},
        {between_apply, MTF_OK, "train_apply"},
        {between_reset, MTF_OK, "train_reset"},
        {between_set_param, MTF_OK, "set_param"},
        {between_freeze, MTF_OK, "set_frozen"},
        {between_set_precision, MTF_OK, "set_precision"},
        {between_add_head, MTF_OK, "add_head"},
        {between_remove_head, MTF_OK, "remove_head"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tiny_batch b;
        mtf_error err = {0};
        const mtf_train_options options = {0};
        mtf_model *model = begun();
        CHECK_MSG(forward(model, &b, &err) == MTF_OK, cases[i].name);
        CHECK_MSG(cases[i].call(model) == cases[i].status, cases[i].name);
        CHECK_MSG(backward(model, &err) == MTF_ERR_STATE, cases[i].name);
        /* and from there on it goes as ever */
        CHECK_MSG(mtf_train_begin(model, &options, &err) == MTF_OK, cases[i].name);
        CHECK_MSG(forward(model, &b, &err) == MTF_OK, cases[i].name);
        CHECK_MSG(backward(model, &err) == MTF_OK, cases[i].name);
        CHECK_MSG(apply(model, &err) == MTF_OK, cases[i].name);
        mtf_model_free(model);
    }
}

/* ---- what lets it wait -------------------------------------------------------------------------- */

/* More plans than are kept: that of the forward must not go. */
static void ask_for_many_plans(mtf_model *model)
{
    static const char *const names[] = {"hidden",          "pooled",          "embedding",
                                        "hidden_states.0", "hidden_states.1", "hidden_states.2"};
    const mtf_rows rows = {.space = "tokens", .offsets = tiny_offsets};
    mtf_error err = {0};
    for (unsigned wanted = 1; wanted < 1U << 6; wanted++) {
        const char *outputs[6];
        size_t n = 0;
        for (unsigned i = 0; i < 6; i++) {
            if (wanted >> i & 1U) {
                outputs[n++] = names[i];
            }
        }
        const mtf_plan_request request = {.n_outputs = n,
                                          .outputs = outputs,
                                          .n_sequences = TINY_SEQUENCES,
                                          .n_spaces = 1,
                                          .spaces = &rows};
        mtf_plan_info info;
        CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_OK);
    }
}

static void more_threads(mtf_model *model)
{
    mtf_error err = {0};
    (void)model;
    CHECK(mtf_threads_set(16, &err) == MTF_OK);
}

static void fewer_threads(mtf_model *model)
{
    mtf_error err = {0};
    (void)model;
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
}

static void refused_backward(mtf_model *model)
{
    mtf_error err = {0};
    const mtf_injection unknown = {"cls", ones};
    CHECK(mtf_train_backward(model, 0, NULL, NULL, NULL, 1, &unknown, &err) == MTF_ERR_STATE);
}

MTF_TEST(what_lets_a_forward_wait)
{
    static mtf_real expected[20000], found[20000];
    static void (*const cases[])(mtf_model *) = {ask_for_many_plans, more_threads, fewer_threads,
                                                 refused_backward};
    const int threads = mtf_threads_get();
    mtf_error err = {0};
    tiny_batch b;
    mtf_model *model = begun();
    CHECK(mtf_train_forward(model, many(&b, 2), 0, 1, pooled, NULL, &err) == MTF_OK);
    CHECK(backward(model, &err) == MTF_OK);
    const size_t n = gradients(model, expected);
    mtf_model_free(model);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(mtf_threads_set(2, &err) == MTF_OK);
        model = begun();
        CHECK(mtf_train_forward(model, many(&b, 2), 0, 1, pooled, NULL, &err) == MTF_OK);
        cases[i](model);
        CHECK(backward(model, &err) == MTF_OK);
        CHECK_INT(gradients(model, found), n);
        CHECK_BITS(expected, found, n * sizeof *found);
        mtf_model_free(model);
    }
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}

/* ---- steps -------------------------------------------------------------------------------------- */

MTF_TEST(without_a_step_there_is_nothing_to_do)
{
    tiny_batch b;
    mtf_error err = {0};
    int waits;
    mtf_model *model = tiny_model(0, "mean");
    CHECK(forward(model, &b, &err) == MTF_ERR_STATE);
    CHECK(backward(model, &err) == MTF_ERR_STATE);
    CHECK(mtf_train_outputs(model, tiny_get_batch(&b, 1), 0, NULL, 1, &waits, &err) ==
          MTF_ERR_STATE);
    CHECK(mtf_train_set_gradient(model, 0, (mtf_real[TINY_VOCABULARY * TINY_WIDTH]){0},
                                 TINY_VOCABULARY * TINY_WIDTH, &err) == MTF_ERR_STATE);
    CHECK(apply(model, &err) == MTF_ERR_STATE);
    mtf_model_free(model);
}

MTF_TEST(a_refused_step_is_not_under_way)
{
    tiny_batch b;
    mtf_error err = {0};
    mtf_model *model = begun();
    CHECK(forward(model, &b, &err) == MTF_OK);
    CHECK(backward(model, &err) == MTF_OK);
    CHECK(between_gradients_bad_budget(model) == MTF_ERR_VALUE);
    CHECK(apply(model, &err) == MTF_ERR_STATE);
    mtf_model_free(model);
}

/* ---- counts ------------------------------------------------------------------------------------- */

/* A plan for a whole epoch in one micro-batch. */
MTF_TEST(a_plan_takes_any_budget)
{
    enum { N = 200000 };
    static int64_t offsets[N + 1];
    mtf_error err = {0};
    mtf_plan_info info;
    mtf_model *model = tiny_model(0, "mean");
    for (int64_t i = 0; i < N; i++) {
        offsets[i + 1] = offsets[i] + 16;
    }
    const mtf_rows rows = {.space = "tokens", .offsets = offsets};
    const mtf_plan_request request = {.training = 1,
                                      .n_outputs = 1,
                                      .outputs = pooled,
                                      .n_sequences = N,
                                      .n_spaces = 1,
                                      .spaces = &rows,
                                      .token_budget = INT64_MAX};
    CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_OK);
    CHECK(info.saved_bytes > (uint64_t)offsets[N] * TINY_WIDTH * sizeof(mtf_real));
    mtf_model_free(model);
}

MTF_TEST(counts_at_the_ends_of_their_range)
{
    static const int64_t bad[] = {-1, INT64_MIN, MTF_MAX_COUNT + 1, INT64_MAX};
    static const mtf_real moments[TINY_VOCABULARY * TINY_WIDTH];
    const size_t n = TINY_VOCABULARY * TINY_WIDTH;
    tiny_batch b;
    mtf_error err = {0};
    double means[2];
    mtf_model *model = begun();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(mtf_train_set_state(model, 0, moments, moments, n, bad[i], &err) == MTF_ERR_VALUE);
        CHECK(mtf_train_forward(model, tiny_get_batch(&b, TINY_SEQUENCES), bad[i], 1, pooled, NULL,
                                &err) == MTF_ERR_VALUE);
        mtf_real value;
        const mtf_output output = {"pooled", &value};
        CHECK(mtf_model_forward(model, tiny_get_batch(&b, bad[i]), 1, &output, MTF_AS_FROZEN,
                                &err) == MTF_ERR_VALUE);
    }
    CHECK(mtf_train_set_state(model, 0, moments, moments, n, MTF_MAX_COUNT, &err) == MTF_OK);
    CHECK(mtf_train_forward(model, tiny_get_batch(&b, TINY_SEQUENCES), MTF_MAX_COUNT, 1, pooled,
                            NULL, &err) == MTF_OK);
    CHECK(backward(model, &err) == MTF_OK);
    CHECK(apply(model, &err) == MTF_OK);
    CHECK(tiny_gradients(model, INT64_MAX, UINT64_MAX, 1, means, &err) == MTF_OK);
    CHECK(apply(model, &err) == MTF_OK);
    mtf_model_free(model);
}
