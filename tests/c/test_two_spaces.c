/* A family whose batches have two row spaces and both kinds of inputs: outputs, training and prices.
 * SPDX-License-Identifier: Apache-2.0 */
#include "two_spaces.h"

#include "tolerances.h"

#ifdef MTF_REAL_DOUBLE
#define TOLERANCE_SUM 1e-12
#else
#define TOLERANCE_SUM TOLERANCE_GEMM(PAIR_MOST) /* weight gradients are sums over rows */
#endif

static pair_batch b;

static void forward(mtf_model *model, const mtf_batch *batch, const char *name, mtf_real *data)
{
    mtf_error err = {0};
    const mtf_output output = {name, data};
    CHECK(mtf_model_forward(model, batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

/* Gradients (0) or values (1) of all parameters, one after another; returns how many. */
static size_t dump(const mtf_model *model, int values, mtf_real *all)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *from = values ? info.data : mtf_train_get_gradient(model, i);
        if (from != NULL) {
            memcpy(all + n, from, (size_t)info.size * sizeof *all);
            n += (size_t)info.size;
        }
    }
    return n;
}

MTF_TEST(rows_do_not_depend_on_their_batch)
{
    static const char *const names[] = {"hidden", "patch_states", "pooled", "cls", "ner"};
    static mtf_real whole[PAIR_MOST * PAIR_WIDTH], alone[PAIR_MOST * PAIR_WIDTH];
    mtf_model *model = pair_model();
    pair_fill(&b);
    for (size_t o = 0; o < mtf_model_n_outputs(model); o++) {
        mtf_output_info info;
        mtf_model_get_output(model, o, &info);
        CHECK_TEXT(info.name, names[o]);
        forward(model, &b.batch, info.name, whole);
        for (int64_t s = 0; s < PAIR_SEQUENCES; s++) {
            int64_t own[4], first = s, n = 1;
            mtf_rows spaces[2];
            mtf_input inputs[2];
            const mtf_batch one = pair_part(&b, s, 1, own, spaces, inputs);
            forward(model, &one, info.name, alone);
            if (strcmp(info.space, "sequences") != 0) {
                const int64_t *offsets =
                    strcmp(info.space, "tokens") == 0 ? b.of_tokens : b.of_patches;
                first = offsets[s];
                n = offsets[s + 1] - offsets[s];
            }
            CHECK_BITS(whole + first * info.width, alone, (size_t)(n * info.width) * sizeof *alone);
        }
    }
    mtf_model_free(model);
}

MTF_TEST(same_bits_at_any_thread_count)
{
    static mtf_real first[4096], other[4096];
    static mtf_real outputs[2][PAIR_MOST * PAIR_WIDTH];
    mtf_error err = {0};
    double means[2];
    pair_fill(&b);
    for (int threads = 1; threads <= 4; threads++) {
        CHECK(mtf_threads_set(threads, &err) == MTF_OK);
        mtf_model *model = pair_model();
        for (uint64_t s = 0; s < 10; s++) {
            const int64_t budget = s % 2 == 0 ? 4096 : 64;
            CHECK(pair_gradients(model, &b, &b.batch, budget, s, means, &err) == MTF_OK);
            tiny_apply(model);
        }
        CHECK_TEXT(err.text, "");
        const size_t n = dump(model, 1, threads == 1 ? first : other);
        forward(model, &b.batch, "pooled", outputs[threads > 1]);
        if (threads > 1) {
            CHECK_BITS(first, other, n * sizeof *other);
            CHECK_BITS(outputs[0], outputs[1], PAIR_SEQUENCES * PAIR_WIDTH * sizeof(mtf_real));
        }
        mtf_model_free(model);
    }
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
}

MTF_TEST(micro_batches_add_up)
{
    static const int64_t budgets[] = {64, 9, 1};
    static mtf_real whole[4096], parts[4096];
    mtf_model *model = pair_model();
    mtf_error err = {0};
    double means[2], found[2];
    pair_fill(&b);
    CHECK(pair_gradients(model, &b, &b.batch, 4096, 2, means, &err) == MTF_OK);
    const size_t n = dump(model, 0, whole);
    for (int i = 0; i < 3; i++) {
        CHECK(pair_gradients(model, &b, &b.batch, budgets[i], 2, found, &err) == MTF_OK);
        CHECK_TEXT(err.text, "");
        CHECK_CLOSE(found[0], means[0], TOLERANCE_SUM);
        CHECK_CLOSE(found[1], means[1], TOLERANCE_SUM);
        CHECK_INT(dump(model, 0, parts), n);
        for (size_t j = 0; j < n && CHECK_CLOSE(parts[j], whole[j], TOLERANCE_SUM); j++) {
        }
    }
    mtf_model_free(model);
}

#ifdef MTF_REAL_DOUBLE
static double loss_at(mtf_model *model, size_t param, int64_t at, double value)
{
    mtf_param_info info;
    mtf_error err = {0};
    mtf_real values[PAIR_VOCABULARY * PAIR_WIDTH];
    double means[2];
    mtf_model_get_param(model, param, &info);
    memcpy(values, info.data, (size_t)info.size * sizeof *values);
    values[at] = value;
    CHECK(mtf_model_set_param(model, param, values, (size_t)info.size, &err) == MTF_OK);
    CHECK(pair_gradients(model, &b, &b.batch, 64, 2, means, &err) == MTF_OK);
    return means[0] + 0.5 * means[1];
}

MTF_TEST(gradients_are_central_differences)
{
    enum { SAMPLES = 4 };
    static mtf_real all[4096];
    const double step = 1e-6;
    mtf_model *model = pair_model();
    mtf_error err = {0};
    double means[2];
    size_t start = 0;
    pair_fill(&b);
    CHECK(pair_gradients(model, &b, &b.batch, 64, 2, means, &err) == MTF_OK);
    (void)dump(model, 0, all);
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        for (int s = 0; s < SAMPLES; s++) {
            const int64_t at = test_integer(0, info.size - 1);
            const double value = info.data[at];
            const double slope =
                (loss_at(model, i, at, value + step) - loss_at(model, i, at, value - step)) /
                (2 * step);
            (void)loss_at(model, i, at, value);
            if (!CHECK_CLOSE(all[start + (size_t)at], slope, 1e-6 * (0.1 + fabs(slope)))) {
                fprintf(stderr, "    in %s at %lld\n", info.key, (long long)at);
            }
        }
        start += (size_t)info.size;
    }
    mtf_model_free(model);
}
#endif

static mtf_plan_info price(mtf_model *model, int64_t budget, size_t n_features,
                           const char *const *features)
{
    static const char *const heads[2] = {"cls", "ner"};
    const mtf_plan_request request = {.training = 1,
                                      .n_outputs = 2,
                                      .outputs = heads,
                                      .n_sequences = PAIR_SEQUENCES,
                                      .n_spaces = 2,
                                      .spaces = b.spaces,
                                      .n_features = n_features,
                                      .features = features,
                                      .token_budget = budget};
    mtf_plan_info info = {0};
    mtf_error err = {0};
    CHECK(mtf_model_get_plan(model, &request, &info, NULL, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return info;
}

MTF_TEST(plans_price_what_runs)
{
    static const char *const frozen[][3] = {
        {NULL}, {"backbone.tokens", NULL}, {"backbone.patches", "cls", NULL}, {"backbone", NULL}};
    static const int64_t budgets[] = {4096, 12};
    pair_fill(&b);
    for (size_t f = 0; f < sizeof frozen / sizeof frozen[0]; f++) {
        mtf_model *model = pair_model();
        tiny_freeze(model, frozen[f]);
        for (int i = 0; i < 2; i++) {
            const mtf_plan_info plan = price(model, budgets[i], 0, NULL);
            mtf_error err = {0};
            mtf_flops done;
            double means[2];
            mtf_flops_count(1);
            CHECK(pair_gradients(model, &b, &b.batch, budgets[i], 0, means, &err) == MTF_OK);
            mtf_flops_count(0);
            mtf_flops_get(&done);
            CHECK(done.forward == plan.forward_flops);
            CHECK(done.dx == plan.dx_flops);
            CHECK(done.dw == plan.dw_flops);
        }
        mtf_model_free(model);
    }
}

MTF_TEST(a_space_may_be_given_as_features)
{
    static const char *const names[] = {"patch_states"};
    static mtf_real states[PAIR_MOST * PAIR_WIDTH], computed[4096], given[4096];
    mtf_model *model = pair_model();
    mtf_error err = {0};
    double means[2], found[2];
    pair_fill(&b);
    tiny_freeze(model, (const char *const[]){"backbone.patches", NULL});
    forward(model, &b.batch, "patch_states", states);
    CHECK(pair_gradients(model, &b, &b.batch, 64, 1, means, &err) == MTF_OK);
    const size_t n = dump(model, 0, computed);
    const mtf_feature feature = {"patch_states", states};
    mtf_batch batch = b.batch;
    batch.n_inputs = 1; /* without patches */
    batch.n_features = 1;
    batch.features = &feature;
    CHECK(pair_gradients(model, &b, &batch, 64, 1, found, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    CHECK_BITS(means, found, sizeof means);
    CHECK_INT(dump(model, 0, given), n);
    CHECK_BITS(computed, given, n * sizeof *given);
    CHECK(price(model, 64, 1, names).forward_flops < price(model, 64, 0, NULL).forward_flops);
    mtf_model_free(model);
}

MTF_TEST(steps_allocate_nothing)
{
    mtf_model *model = pair_model();
    mtf_error err = {0};
    mtf_memory_info start, end;
    double means[2];
    pair_fill(&b);
    for (uint64_t s = 0; s < 6; s++) {
        if (s == 3) {
            mtf_memory_get(&start);
        }
        CHECK(pair_gradients(model, &b, &b.batch, 64, s, means, &err) == MTF_OK);
        tiny_apply(model);
    }
    mtf_memory_get(&end);
    CHECK_INT(end.n_allocations, start.n_allocations);
    mtf_model_free(model);
}
