/* Models through the public header: forward, steps, freeze states, threads, memory, failures.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#define ROWS 16

static void forward(mtf_model *model, const mtf_batch *batch, const char *name, mtf_real *data)
{
    mtf_error err = {0};
    const mtf_output output = {name, data};
    CHECK(mtf_model_forward(model, batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

static mtf_status apply(mtf_model *model, double rate, double decay, double clip, mtf_error *err)
{
    double rates[128], decays[128];
    for (int i = 0; i < 128; i++) {
        rates[i] = rate;
        decays[i] = decay;
    }
    const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, clip};
    mtf_update_result result;
    return mtf_train_apply(model, &update, &result, err);
}

static void steps(mtf_model *model, int n)
{
    mtf_error err = {0};
    double means[2];
    for (int i = 0; i < n; i++) {
        CHECK(tiny_gradients(model, 4096, (uint64_t)i, 1, means, &err) == MTF_OK);
        CHECK(apply(model, 1e-2, 0.1, 1.0, &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
    }
}

/* All parameters, one after another. */
static size_t dump(const mtf_model *model, mtf_real *all)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        memcpy(all + n, info.data, (size_t)info.size * sizeof *all);
        n += (size_t)info.size;
    }
    return n;
}

static mtf_real before[20000], after[20000];

MTF_TEST(training_lowers_the_loss)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    double first[2], last[2];
    CHECK(tiny_gradients(model, 4096, 0, 0, first, &err) == MTF_OK);
    steps(model, 60);
    CHECK(tiny_gradients(model, 4096, 0, 0, last, &err) == MTF_OK);
    CHECK(last[0] < 0.5 * first[0]);
    CHECK(last[1] < 0.5 * first[1]);
    mtf_model_free(model);
}

MTF_TEST(frozen_bits_never_move)
{
    static const char *const states[][4] = {{"backbone", NULL},
                                            {"cls", NULL},
                                            {"backbone.embeddings", "backbone.layers[0]", NULL},
                                            {"backbone.layers[1]", "ner", NULL},
                                            {"backbone", "cls", "ner", NULL}};
    for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
        mtf_model *model = tiny_model(0.1, "mean");
        tiny_freeze(model, states[s]);
        (void)dump(model, before);
        steps(model, 200);
        (void)dump(model, after);
        size_t at = 0;
        for (size_t i = 0; i < mtf_model_n_params(model); i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            const int same =
                memcmp(before + at, after + at, (size_t)info.size * sizeof *after) == 0;
            CHECK_MSG(same == (info.frozen != 0), info.key);
            const mtf_real *m, *v;
            int64_t n;
            mtf_train_get_state(model, i, &m, &v, &n);
            CHECK_MSG((m == NULL) == (info.frozen != 0), info.key);
            at += (size_t)info.size;
        }
        mtf_model_free(model);
    }
}

MTF_TEST(same_bits_at_any_thread_count)
{
    size_t n = 0;
    for (int threads = 1; threads <= 8; threads++) {
        mtf_error err = {0};
        CHECK(mtf_threads_set(threads, &err) == MTF_OK);
        test_now.random = 77;
        mtf_model *model = tiny_model(0.1, "mean");
        steps(model, 20);
        n = dump(model, threads == 1 ? before : after);
        if (threads > 1) {
            CHECK_BITS(before, after, n * sizeof *after);
        }
        mtf_model_free(model);
    }
}

MTF_TEST(rows_do_not_depend_on_their_batch)
{
    mtf_model *model = tiny_model(0, "mean");
    static mtf_real whole[ROWS * TINY_WIDTH], alone[ROWS * TINY_WIDTH];
    tiny_batch b;
    forward(model, tiny_get_batch(&b, TINY_SEQUENCES), "hidden", whole);
    for (int s = 0; s < TINY_SEQUENCES; s++) {
        const int64_t offsets[2] = {0, tiny_offsets[s + 1] - tiny_offsets[s]};
        const mtf_rows rows = {.space = "tokens", .offsets = offsets};
        const mtf_input inputs[2] = {{"ids", tiny_ids + tiny_offsets[s]},
                                     {"token_types", tiny_types + tiny_offsets[s]}};
        const mtf_batch batch = {1, 1, &rows, 2, inputs, 0, NULL};
        forward(model, &batch, "hidden", alone);
        CHECK_BITS(alone, whole + tiny_offsets[s] * TINY_WIDTH,
                   (size_t)offsets[1] * TINY_WIDTH * sizeof(mtf_real));
    }
    mtf_model_free(model);
}

MTF_TEST(two_names_of_one_tensor)
{
    mtf_model *model = tiny_model(0, "mean");
    static mtf_real a[ROWS * TINY_WIDTH], b[ROWS * TINY_WIDTH];
    mtf_error err = {0};
    tiny_batch t;
    const mtf_output outputs[2] = {{"hidden", a}, {"hidden_states.3", b}};
    CHECK(mtf_model_forward(model, tiny_get_batch(&t, 4), 2, outputs, MTF_AS_FROZEN, &err) ==
          MTF_OK);
    CHECK_BITS(a, b, sizeof a);
    mtf_model_free(model);
}

MTF_TEST(a_parameter_says_whether_products_read_it)
{
    static const struct {
        const char *key;
        int in_products;
    } cases[] = {{"backbone.embeddings.word_embeddings.weight", 0},
                 {"backbone.embeddings.position_embeddings.weight", 0},
                 {"backbone.embeddings.token_type_embeddings.weight", 0},
                 {"backbone.embeddings.LayerNorm.weight", 0},
                 {"backbone.encoder.layer.0.attention.self.query.weight", 1},
                 {"backbone.encoder.layer.0.attention.self.value.weight", 1},
                 {"backbone.encoder.layer.2.output.dense.weight", 1},
                 {"backbone.encoder.layer.2.output.dense.bias", 0},
                 {"backbone.pooler.dense.weight", 1},
                 {"cls.hidden.0.weight", 1},
                 {"ner.weight", 1},
                 {"ner.bias", 0}};
    mtf_model *model = tiny_model(0, "pooler");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mtf_param_info info;
        mtf_model_get_param(model, (size_t)tiny_param(model, cases[i].key), &info);
        CHECK_INT(info.in_products, cases[i].in_products);
    }
    mtf_model_free(model);
}

MTF_TEST(a_step_allocates_nothing_after_the_first)
{
    mtf_model *model = tiny_model(0.1, "mean");
    mtf_memory_info first, last;
    steps(model, 2);
    mtf_memory_get(&first);
    steps(model, 10);
    mtf_memory_get(&last);
    CHECK_INT(last.n_allocations, first.n_allocations);
    mtf_model_free(model);
}

MTF_TEST(unfreezing_begins_at_zero_and_the_others_go_on)
{
    mtf_model *model = tiny_model(0, "mean");
    const size_t low = (size_t)tiny_param(model, "backbone.encoder.layer.0.output.dense.weight");
    const size_t top = (size_t)tiny_param(model, "cls.weight");
    const mtf_real *m, *v;
    int64_t n;
    tiny_freeze(model, (const char *const[]){"backbone.layers[0]", NULL});
    steps(model, 3);
    tiny_freeze(model, (const char *const[]){NULL});
    steps(model, 2);
    mtf_train_get_state(model, low, &m, &v, &n);
    CHECK_INT(n, 2);
    mtf_train_get_state(model, top, &m, &v, &n);
    CHECK_INT(n, 5);
    tiny_freeze(model, (const char *const[]){"backbone.layers[0]", NULL});
    mtf_train_get_state(model, low, &m, &v, &n);
    CHECK(m == NULL && v == NULL && n == 0);
    mtf_model_free(model);
}

MTF_TEST(what_no_loss_reached_is_not_stepped)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    tiny_batch b;
    const mtf_loss loss = {.output = "cls", .targets = tiny_labels_cls, .weight = 1.0};
    const mtf_train_options options = {0};
    (void)dump(model, before);
    CHECK(mtf_train_gradients(model, tiny_get_batch(&b, 4), 1, &loss, 0, NULL, 4096, &options, NULL,
                              NULL, &err) == MTF_OK);
    CHECK(apply(model, 1e-2, 0.5, 0, &err) == MTF_OK);
    const size_t ner = (size_t)tiny_param(model, "ner.weight");
    mtf_param_info info;
    mtf_model_get_param(model, ner, &info);
    CHECK_INT(info.n_steps, 0);
    mtf_model_free(model);
}

MTF_TEST(gradients_can_be_injected)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    tiny_batch b;
    const char *names[1] = {"pooled"};
    static mtf_real pooled[TINY_SEQUENCES * TINY_WIDTH], ones[TINY_SEQUENCES * TINY_WIDTH];
    mtf_real *values[1] = {pooled};
    for (int i = 0; i < TINY_SEQUENCES * TINY_WIDTH; i++) {
        ones[i] = 1;
    }
    const mtf_train_options options = {0};
    const mtf_injection injection = {"pooled", ones};
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    CHECK(mtf_train_forward(model, tiny_get_batch(&b, 4), 0, 1, names, values, &err) == MTF_OK);
    CHECK(mtf_train_backward(model, 0, NULL, NULL, NULL, 1, &injection, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    /* d sum(pooled) / d bias of the last norm: one for each sequence. */
    const size_t bias = (size_t)tiny_param(model, "backbone.encoder.layer.2.output.LayerNorm.bias");
    const mtf_real *g = mtf_train_get_gradient(model, bias);
    for (int i = 0; i < TINY_WIDTH; i++) {
        CHECK_CLOSE(g[i], TINY_SEQUENCES, 1e-5);
    }
    CHECK(mtf_train_get_gradient(model, (size_t)tiny_param(model, "cls.weight")) == NULL);
    /* A second backward has no forward to go back over. */
    CHECK(mtf_train_backward(model, 0, NULL, NULL, NULL, 1, &injection, &err) == MTF_ERR_STATE);
    mtf_model_free(model);
}

MTF_TEST(a_gradient_that_is_not_finite_changes_nothing)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    double means[2];
    steps(model, 1);
    (void)dump(model, before);
    CHECK(tiny_gradients(model, 4096, 9, 0, means, &err) == MTF_OK);
    const size_t at = (size_t)tiny_param(model, "cls.bias");
    const mtf_real bad[3] = {1, NAN, 0};
    CHECK(mtf_train_set_gradient(model, at, bad, 3, &err) == MTF_OK);
    CHECK(apply(model, 1e-2, 0.1, 1, &err) == MTF_ERR_NONFINITE);
    CHECK(strstr(err.text, "cls.bias") != NULL && strstr(err.text, "step 10") != NULL);
    size_t n = dump(model, after);
    CHECK_BITS(before, after, n * sizeof *after);
    mtf_model_free(model);
}

MTF_TEST(hostile_batches_are_refused)
{
    mtf_model *model = tiny_model(0, "mean");
    static mtf_real out[ROWS * TINY_WIDTH];
    const mtf_output output = {"hidden", out};
    const int32_t bad_ids[3] = {1, TINY_VOCABULARY, 2};
    const int64_t good[2] = {0, 3}, empty[3] = {0, 0, 3}, late[2] = {1, 3}, longer[2] = {0, 17};
    const struct {
        int64_t n;
        const int64_t *offsets;
        const int32_t *ids;
        const char *words;
    } cases[] = {{1, good, bad_ids, "takes 0..28"},   {2, empty, tiny_ids, "is empty"},
                 {1, late, tiny_ids, "begin with 0"}, {1, longer, tiny_ids, "at most 16"},
                 {1, NULL, tiny_ids, "no offsets"},   {1, good, NULL, "lacks the input"},
                 {-1, good, tiny_ids, "-1 sequences"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mtf_error err = {0};
        const mtf_rows rows = {.space = "tokens", .offsets = cases[i].offsets};
        const mtf_input input = {"ids", cases[i].ids};
        const mtf_batch batch = {cases[i].n, 1, &rows, 1, &input, 0, NULL};
        CHECK(mtf_model_forward(model, &batch, 1, &output, MTF_AS_FROZEN, &err) != MTF_OK);
        CHECK_MSG(strstr(err.text, cases[i].words) != NULL, err.text);
    }
    mtf_model_free(model);
}

MTF_TEST(heads_come_and_go)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    const size_t n = mtf_model_n_params(model);
    mtf_param_info ner, moved;
    mtf_model_get_param(model, (size_t)tiny_param(model, "ner.weight"), &ner);
    steps(model, 1);
    CHECK(mtf_model_remove_head(model, "cls", &err) == MTF_OK);
    CHECK_INT(mtf_model_n_params(model), n - 4);
    mtf_model_get_param(model, (size_t)tiny_param(model, "ner.weight"), &moved);
    CHECK(moved.data == ner.data);
    CHECK_INT(moved.n_steps, 1);
    CHECK(mtf_model_remove_head(model, "cls", &err) == MTF_ERR_NAME);
    CHECK(tiny_add_head(model, "ner", "token_classification", 4, 0, NULL, &err) == MTF_ERR_VALUE);
    CHECK(tiny_add_head(model, "pooled", "token_classification", 4, 0, NULL, &err) ==
          MTF_ERR_VALUE);
    CHECK(tiny_add_head(model, "x", "token_classification", 4, 0, "pooled", &err) ==
          MTF_ERR_CONFIG);
    CHECK(tiny_add_head(model, "x", "no_such_kind", 4, 0, NULL, &err) == MTF_ERR_CONFIG);
    CHECK_MSG(strstr(err.text, "token_classification") != NULL, err.text);
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 5, NULL, &err) == MTF_OK);
    steps(model, 1);
    mtf_model_free(model);
}

/* Keys that are cut short would run together. */
MTF_TEST(a_name_too_long_for_its_keys_is_refused)
{
    mtf_model *model = tiny_model(0, "mean");
    mtf_error err = {0};
    char name[300];
    const size_t n = mtf_model_n_params(model);
    memset(name, 'n', sizeof name);
    name[247] = '\0'; /* and " dropout" behind it */
    CHECK(tiny_add_head(model, name, "token_classification", 4, 0, NULL, &err) == MTF_OK);
    CHECK_INT(mtf_model_n_params(model), n + 2);
    name[247] = 'n';
    name[248] = '\0';
    CHECK(tiny_add_head(model, name, "token_classification", 4, 0, NULL, &err) == MTF_ERR_CONFIG);
    CHECK_MSG(strstr(err.text, "choose a shorter name") != NULL, err.text);
    CHECK_INT(mtf_model_n_params(model), n + 2);
    mtf_model_free(model);
}

/* Every allocation fails once, one after another; each failure is reported and nothing leaks. */
MTF_TEST(each_allocation_may_fail)
{
    mtf_memory_info start, end;
    mtf_memory_get(&start);
    mtf_model *model = tiny_model(0.1, "mean");
    (void)dump(model, before);
    int done = 0;
    for (uint64_t n = 1; !done && n < 1000; n++) {
        mtf_error err = {0};
        double means[2];
        mtf_train_reset(model);
        mtf_memory_fail_after(n);
        mtf_status status = tiny_gradients(model, 4096, 0, 1, means, &err);
        if (status == MTF_OK) {
            status = apply(model, 0, 0, 1, &err);
        }
        mtf_memory_fail_after(0);
        CHECK(status == MTF_OK || status == MTF_ERR_MEMORY);
        done = status == MTF_OK;
        size_t size = dump(model, after);
        CHECK_BITS(before, after, size * sizeof *after);
    }
    CHECK(done);
    done = 0;
    for (uint64_t n = 1; !done && n < 1000; n++) {
        mtf_error err = {0};
        mtf_config *c = tiny_config(0, "mean");
        mtf_model *fresh = NULL;
        mtf_memory_fail_after(n);
        mtf_status status = mtf_model_new(c, &fresh, &err);
        mtf_memory_fail_after(0);
        mtf_config_free(c);
        CHECK(status == MTF_OK || status == MTF_ERR_MEMORY);
        done = status == MTF_OK;
        mtf_model_free(fresh);
    }
    CHECK(done);
    mtf_model_free(model);
    mtf_memory_get(&end);
    CHECK_INT(end.bytes_now, start.bytes_now);
}
