/* One unit that a backbone applies several times: gradients, updates, dropout, prefix and prices.
 * SPDX-License-Identifier: Apache-2.0 */
#include "shared_units.h"

#include "tolerances.h"

#ifdef MTF_REAL_DOUBLE
#define TOLERANCE_SUM 1e-12
#else
#define TOLERANCE_SUM TOLERANCE_GEMM(16 * LOOP_USES) /* sums over rows and uses */
#endif

static const char *const all_trains[] = {NULL};

static void gradients(mtf_model *model, int64_t budget, double *means)
{
    mtf_error err = {0};
    CHECK(tiny_gradients(model, budget, 5, 1, means, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

MTF_TEST(its_parameters_are_there_once)
{
    mtf_model *looped = loop_model(&loop_family), *twin = loop_model(&twin_family);
    CHECK_INT(mtf_model_n_params(looped), 2 + 6 + 4);
    CHECK_INT(mtf_model_n_params(twin), 2 + 3 * 6 + 4);
    CHECK_INT(mtf_model_n_units(looped), 1 + 1 + 2);
    mtf_unit_info unit;
    mtf_model_get_unit(looped, 1, &unit);
    CHECK_TEXT(unit.path, "backbone.layers[0:3]");
    CHECK_INT(unit.first_param, 2);
    CHECK_INT(unit.n_params, 6);
    mtf_model_free(looped);
    mtf_model_free(twin);
}

MTF_TEST(its_gradient_is_the_sum_over_its_uses)
{
    const int64_t budgets[] = {4096, 7};
    mtf_model *looped = loop_model(&loop_family), *twin = loop_model(&twin_family);
    for (int b = 0; b < 2; b++) {
        double means[2], of_twin[2];
        gradients(looped, budgets[b], means);
        gradients(twin, budgets[b], of_twin);
        CHECK_BITS(means, of_twin, sizeof means); /* the same draws in the same places */
        for (size_t i = 0; i < mtf_model_n_params(looped); i++) {
            mtf_param_info info, other;
            mtf_real sum[TINY_VOCABULARY * TINY_WIDTH] = {0};
            char key[96];
            int n_uses = 0;
            mtf_model_get_param(looped, i, &info);
            for (size_t t = mtf_model_n_params(twin); t-- > 0;) {
                mtf_model_get_param(twin, t, &other);
                if (strcmp(loop_key(other.key, key), info.key) == 0) {
                    const mtf_real *gradient = mtf_train_get_gradient(twin, t);
                    for (int64_t j = 0; j < info.size; j++) {
                        sum[j] += gradient[j];
                    }
                    n_uses++;
                }
            }
            CHECK_INT(n_uses, strstr(info.key, "layer.") != NULL ? LOOP_USES : 1);
            const mtf_real *gradient = mtf_train_get_gradient(looped, i);
            for (int64_t j = 0; j < info.size && CHECK_CLOSE(gradient[j], sum[j], TOLERANCE_SUM);
                 j++) {
            }
        }
    }
    mtf_model_free(looped);
    mtf_model_free(twin);
}

MTF_TEST(one_update_a_step_and_the_same_bits_at_any_thread_count)
{
    static mtf_real first[8192], other[8192];
    mtf_error err = {0};
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(mtf_threads_set(threads, &err) == MTF_OK);
        mtf_model *model = loop_model(&loop_family);
        mtf_memory_info before = {0}, after;
        for (int s = 0; s < 4; s++) {
            double means[2];
            gradients(model, s % 2 == 0 ? 4096 : 7, means);
            tiny_apply(model);
            if (s == 1) {
                mtf_memory_get(&before);
            }
        }
        mtf_memory_get(&after);
        CHECK_INT(after.n_allocations, before.n_allocations); /* a step allocates nothing */
        for (size_t i = 0; i < mtf_model_n_params(model); i++) {
            const mtf_real *moment1, *moment2;
            int64_t n_steps;
            mtf_train_get_state(model, i, &moment1, &moment2, &n_steps);
            CHECK_INT(n_steps, 4);
        }
        const size_t n = tiny_state(model, threads == 1 ? first : other);
        CHECK(n < 8192);
        if (threads > 1) {
            CHECK_BITS(first, other, n * sizeof *other);
        }
        mtf_model_free(model);
    }
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
}

static mtf_status price(mtf_model *model, int precision, const char *feature, mtf_plan_info *info,
                        mtf_plan_unit *units, mtf_error *err)
{
    static const char *const output[1] = {"cls"};
    const mtf_rows rows = {.space = "tokens", .offsets = tiny_offsets};
    const mtf_plan_request request = {.training = 1,
                                      .precision = precision,
                                      .n_outputs = 1,
                                      .outputs = output,
                                      .n_sequences = TINY_SEQUENCES,
                                      .n_spaces = 1,
                                      .spaces = &rows,
                                      .n_features = feature != NULL,
                                      .features = &feature,
                                      .token_budget = 4096};
    return mtf_model_get_plan(model, &request, info, units, err);
}

MTF_TEST(all_of_it_is_in_the_prefix_or_nothing)
{
    static const char *const below[] = {"backbone.embeddings", NULL};
    static const char *const both[] = {"backbone.embeddings", "backbone.layers", NULL};
    static const char *const layers[] = {"backbone.layers", NULL};
    static const struct {
        const char *const *frozen;
        int embeddings, shared; /* whether they are in the prefix */
        const char *given, *refused;
    } cases[] = {{all_trains, 0, 0, NULL, "hidden_states.0"},
                 {below, 1, 0, "hidden_states.0", "hidden_states.1"},
                 {both, 1, 1, "hidden_states.2", NULL},
                 {layers, 0, 0, NULL, "hidden_states.3"}};
    mtf_model *model = loop_model(&loop_family);
    mtf_plan_info info;
    mtf_plan_unit units[4];
    mtf_error err = {0};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        tiny_freeze(model, cases[c].frozen);
        CHECK(price(model, 0, NULL, &info, units, &err) == MTF_OK);
        CHECK_INT(units[0].in_prefix, cases[c].embeddings);
        CHECK_INT(units[1].in_prefix, cases[c].shared);
        CHECK(units[1].runs);
        if (cases[c].given != NULL) {
            CHECK(price(model, 0, cases[c].given, &info, units, &err) == MTF_OK);
        }
        CHECK_TEXT(err.text, "");
        if (cases[c].refused != NULL) {
            CHECK(price(model, 0, cases[c].refused, &info, units, &err) == MTF_ERR_VALUE);
            CHECK(strstr(err.text, "trains below it") != NULL);
            err.text[0] = '\0';
        }
    }
    mtf_model_free(model);
}

MTF_TEST(a_partly_trainable_one_drops_out_in_every_use)
{
    mtf_model *looped = loop_model(&loop_family), *twin = loop_model(&twin_family);
    mtf_plan_info info, of_twin;
    mtf_plan_unit units[4], twin_units[6];
    mtf_error err = {0};
    uint8_t params[32] = {0}, none[8] = {0};
    memset(params, 1, 8);
    params[tiny_param(looped, "backbone.layer.0.up.bias")] = 0;
    CHECK(mtf_model_set_frozen(looped, params, 12, none, 4, &err) == MTF_OK);
    CHECK(price(looped, 0, NULL, &info, units, &err) == MTF_OK);
    CHECK(units[0].in_prefix && !units[1].in_prefix && units[1].dropout);
    memset(params, 1, 20);
    for (int u = 0; u < LOOP_USES; u++) {
        params[tiny_param(twin, "backbone.layer.0.up.bias") + 6 * u] = 0;
    }
    CHECK(mtf_model_set_frozen(twin, params, 24, none, 6, &err) == MTF_OK);
    CHECK(price(twin, 0, NULL, &of_twin, twin_units, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    CHECK(info.forward_flops == of_twin.forward_flops && info.dx_flops == of_twin.dx_flops &&
          info.dw_flops == of_twin.dw_flops && info.saved_bytes == of_twin.saved_bytes);
    CHECK(units[1].dw_flops ==
          twin_units[1].dw_flops + twin_units[2].dw_flops + twin_units[3].dw_flops);
    CHECK_INT(info.moment_bytes - of_twin.moment_bytes,
              -2 * 2 * TINY_WIDTH * (int64_t)sizeof(mtf_real));
    mtf_model_free(looped);
    mtf_model_free(twin);
}

#ifndef MTF_REAL_DOUBLE
MTF_TEST(its_packed_forms_are_there_once)
{
    enum { WIDTH = 256 }; /* weights of 65,536 values go over packed forms in bf16 */
    mtf_model *looped = loop_new(&loop_family, WIDTH), *twin = loop_new(&twin_family, WIDTH);
    mtf_error err = {0};
    uint64_t bytes[2];   /* of forms, as priced */
    int64_t reserved[2]; /* by a step, for all that it needs */
    for (int t = 0; t < 2; t++) {
        mtf_model *model = t == 0 ? looped : twin;
        mtf_plan_info info;
        CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 0, NULL, &err) == MTF_OK);
        tiny_freeze(model, (const char *const[]){"backbone.layers", NULL}); /* dx through them */
        CHECK(price(model, MTF_PRECISION_BF16, NULL, &info, NULL, &err) == MTF_OK);
        bytes[t] = info.form_bytes;
        mtf_memory_info before, after;
        mtf_memory_get(&before);
        double means[2];
        const mtf_loss loss = {.output = "cls", .targets = tiny_labels_cls, .weight = 1.0};
        const mtf_train_options options = {.precision = MTF_PRECISION_BF16};
        tiny_batch b;
        CHECK(mtf_train_gradients(model, tiny_get_batch(&b, TINY_SEQUENCES), 1, &loss, 0, NULL,
                                  4096, &options, means, NULL, &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
        mtf_memory_get(&after);
        reserved[t] = (int64_t)(after.bytes_now - before.bytes_now);
    }
    CHECK(bytes[0] > 0);
    CHECK_INT(LOOP_USES * bytes[0], bytes[1]);
    /* besides, the twin's step knows more parameters */
    const int64_t more = reserved[1] - reserved[0] - (int64_t)(bytes[1] - bytes[0]);
    CHECK(more >= 0 && more < 4096);
    mtf_model_free(looped);
    mtf_model_free(twin);
}
#endif

MTF_TEST(a_continued_unit_takes_no_new_parameter)
{
    mtf_error err = {0};
    const int64_t shape[1] = {4};
    for (int last = 0; last < 2; last++) { /* whether it is the last one that was begun */
        mtf_program *p = mtf_program_new();
        (void)mtf_program_space(p, "tokens", 8);
        mtf_program_unit(p, "backbone.a", 0);
        (void)mtf_program_param(p, "a", 1, shape, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
        if (!last) {
            mtf_program_unit(p, "backbone.b", 0);
            (void)mtf_program_param(p, "b", 1, shape, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
        }
        mtf_program_unit(p, "backbone.a", 0);
        CHECK_INT(mtf_program_param(p, "a", 1, shape, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0), 0);
        CHECK_INT(mtf_program_finish(p, &err), MTF_OK);
        (void)mtf_program_param(p, "new", 1, shape, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
        CHECK_INT(mtf_program_finish(p, &err), last ? MTF_OK : MTF_ERR_CONFIG);
        CHECK(last || strstr(err.text, "that was continued") != NULL);
        mtf_program_free(p);
    }
}

MTF_TEST(a_head_is_not_called_like_a_unit)
{
    mtf_model *model = loop_model(&loop_family);
    mtf_error err = {0};
    const size_t n_params = mtf_model_n_params(model);
    CHECK(tiny_add_head(model, "backbone.layers[0:3]", "token_classification", 2, 0, NULL, &err) ==
          MTF_ERR_CONFIG);
    CHECK(strstr(err.text, "called like a unit") != NULL);
    CHECK_INT(mtf_model_n_params(model), n_params);
    mtf_model_free(model);
}

#ifdef MTF_REAL_DOUBLE
static double loss_at(mtf_model *model, size_t param, int64_t at, double value)
{
    mtf_param_info info;
    mtf_error err = {0};
    mtf_real values[TINY_VOCABULARY * TINY_WIDTH];
    double means[2];
    mtf_model_get_param(model, param, &info);
    memcpy(values, info.data, (size_t)info.size * sizeof *values);
    values[at] = value;
    CHECK(mtf_model_set_param(model, param, values, (size_t)info.size, &err) == MTF_OK);
    gradients(model, 4096, means);
    return means[0] + 0.5 * means[1];
}

MTF_TEST(gradients_are_central_differences)
{
    enum { SAMPLES = 4 };
    const double step = 1e-6;
    mtf_model *model = loop_model(&loop_family);
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        for (int s = 0; s < SAMPLES; s++) {
            double means[2];
            const int64_t at = test_integer(0, info.size - 1);
            const double value = info.data[at];
            gradients(model, 4096, means);
            const double found = mtf_train_get_gradient(model, i)[at];
            const double slope =
                (loss_at(model, i, at, value + step) - loss_at(model, i, at, value - step)) /
                (2 * step);
            (void)loss_at(model, i, at, value);
            if (!CHECK_CLOSE(found, slope, 1e-6 * (0.1 + fabs(slope)))) {
                fprintf(stderr, "    in %s at %lld\n", info.key, (long long)at);
            }
        }
    }
    mtf_model_free(model);
}
#endif
