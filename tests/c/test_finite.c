/* Updates that would make a weight infinite or no number: refused by name, with nothing changed; and large
 * ones that stay finite: made. At one thread and at several, in the first step and in later ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include <float.h>

#define MOST_VALUES 20000

static mtf_update update_of(double rate, double decay, double eps)
{
    static double rates[128], decays[128];
    for (int i = 0; i < 128; i++) {
        rates[i] = rate;
        decays[i] = decay;
    }
    return (mtf_update){rates, decays, 0.9, 0.999, eps, 1.0};
}

static mtf_status step(mtf_model *model, uint64_t number, const mtf_update *update, mtf_error *err)
{
    double means[2];
    mtf_update_result result;
    CHECK(tiny_gradients(model, 4096, number, 0, means, err) == MTF_OK);
    return mtf_train_apply(model, update, &result, err);
}

static int all_finite(const mtf_real *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            return 0;
        }
    }
    return 1;
}

static mtf_real before[3 * MOST_VALUES], after[3 * MOST_VALUES];

MTF_TEST(an_update_that_overflows_changes_nothing)
{
    static const struct {
        double rate, decay, eps;
    } cases[] = {
        {1e300, 0, 1e-8},   /* the step is infinite */
        {1e38, 1e38, 1e-8}, /* the decay is */
        {1e39, 0, 1e-8},    /* both in float only */
        {1e-3, 0, 1e-60},   /* eps is 0 in float: 0 / 0 in rows without gradient */
    };
    const int threads = mtf_threads_get();
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        mtf_error err = {0};
        CHECK(mtf_threads_set(i % 2 ? 3 : 1, &err) == MTF_OK);
        const mtf_update good = update_of(1e-3, 0.1, 1e-8);
        mtf_model *model = tiny_model(0, "mean");
        const uint64_t done = i / 2 % 2;
        if (done > 0) {
            CHECK(step(model, 0, &good, &err) == MTF_OK);
        }
        size_t n = tiny_state(model, before);
        const mtf_update bad = update_of(cases[i / 2].rate, cases[i / 2].decay, cases[i / 2].eps);
        char words[32];
        (void)snprintf(words, sizeof words, "in step %d", (int)done + 1);
        CHECK(step(model, done, &bad, &err) == MTF_ERR_NONFINITE);
        CHECK_MSG(strstr(err.text, "the update of \"") != NULL, err.text);
        CHECK_MSG(strstr(err.text, words) != NULL, err.text);
        CHECK_INT(tiny_state(model, after), n);
        CHECK_BITS(before, after, n * sizeof *after);
        /* the step is still under way */
        const mtf_update again = update_of(1e-3, 0.1, 1e-8);
        mtf_update_result result;
        CHECK(mtf_train_apply(model, &again, &result, &err) == MTF_OK);
        n = tiny_state(model, after);
        CHECK(all_finite(after, n));
        mtf_model_free(model);
    }
    mtf_error err = {0};
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}

/* What bounds cannot vouch for is made all the same where it is finite. */
MTF_TEST(a_large_update_that_stays_finite_is_made)
{
    mtf_error err = {0};
    const mtf_update large = update_of(1e30, 0, 1e-8);
    mtf_model *model = tiny_model(0, "mean");
    CHECK(step(model, 0, &large, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    const size_t n = tiny_state(model, after);
    CHECK(all_finite(after, n));
    CHECK(fabs((double)after[0]) > 0);
    mtf_model_free(model);
}

/* Weights at the end of the range stay there. */
MTF_TEST(the_largest_weights_are_stepped)
{
    mtf_error err = {0};
    const mtf_update good = update_of(1e-3, 0.1, 1e-8);
    mtf_model *model = tiny_model(0, "mean");
    const size_t at = (size_t)tiny_param(model, "cls.bias");
    const mtf_real values[3] = {FLT_MAX, -FLT_MAX, FLT_MAX};
    const mtf_train_options options = {0};
    mtf_update_result result;
    CHECK(mtf_model_set_param(model, at, values, 3, &err) == MTF_OK);
    CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
    CHECK(mtf_train_set_gradient(model, at, (mtf_real[3]){-1, 1, 1}, 3, &err) == MTF_OK);
    CHECK(mtf_train_apply(model, &good, &result, &err) == MTF_OK);
    mtf_param_info info;
    mtf_model_get_param(model, at, &info);
    CHECK(all_finite(info.data, 3));
    mtf_model_free(model);
}

MTF_TEST(moments_from_elsewhere_are_looked_at)
{
    mtf_error err = {0};
    const mtf_update good = update_of(1e-3, 0.1, 1e-8);
    static const mtf_real moments[][2][3] = {
        {{1, INFINITY, 1}, {1, 1, 1}}, {{1, 1, 1}, {1, NAN, 1}}, {{1, 1, 1}, {-9, 1, 1}}};
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        mtf_model *model = tiny_model(0, "mean");
        const size_t at = (size_t)tiny_param(model, "cls.bias");
        CHECK(mtf_train_set_state(model, at, moments[i][0], moments[i][1], 3, 5, &err) == MTF_OK);
        CHECK(step(model, 0, &good, &err) == MTF_ERR_NONFINITE);
        CHECK_MSG(strstr(err.text, "the update of \"cls.bias\"") != NULL, err.text);
        mtf_model_free(model);
    }
}
