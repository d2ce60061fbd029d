/* Whole-model gradients against central differences, in double: every tensor, several freeze states.
 * Bound of design target R10: 1e-5 relative. SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#define STEP      1e-5
#define TOLERANCE 1e-5
#define SAMPLES   6 /* values looked at in each tensor */

static double total_loss(mtf_model *model, int dropout)
{
    double means[2] = {0, 0};
    mtf_error err = {0};
    CHECK(tiny_gradients(model, 4096, 5, dropout, means, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    return means[0] + 0.5 * means[1];
}

static double shifted_loss(mtf_model *model, size_t index, int64_t at, double shift, int dropout)
{
    mtf_param_info info;
    mtf_error err = {0};
    mtf_real values[TINY_VOCABULARY * TINY_WIDTH];
    mtf_model_get_param(model, index, &info);
    memcpy(values, info.data, (size_t)info.size * sizeof *values);
    const mtf_real old = values[at];
    values[at] = old + (mtf_real)shift;
    CHECK(mtf_model_set_param(model, index, values, (size_t)info.size, &err) == MTF_OK);
    double loss = total_loss(model, dropout);
    values[at] = old;
    CHECK(mtf_model_set_param(model, index, values, (size_t)info.size, &err) == MTF_OK);
    return loss;
}

static void check_gradients(mtf_model *model, int dropout)
{
    static mtf_real gradients[64][TINY_VOCABULARY * TINY_WIDTH];
    unsigned char has[64];
    (void)total_loss(model, dropout);
    const size_t n = mtf_model_n_params(model);
    if (!CHECK(n <= 64)) {
        return;
    }
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *g = mtf_train_get_gradient(model, i);
        has[i] = g != NULL;
        CHECK_MSG((g == NULL) == (info.frozen != 0), info.key);
        for (int64_t j = 0; g != NULL && j < info.size; j++) {
            gradients[i][j] = g[j];
            largest = fabs((double)g[j]) > largest ? fabs((double)g[j]) : largest;
        }
    }
    for (size_t i = 0; i < n; i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        for (int s = 0; has[i] && s < SAMPLES; s++) {
            const int64_t at = test_integer(0, info.size - 1);
            const double slope = (shifted_loss(model, i, at, STEP, dropout) -
                                  shifted_loss(model, i, at, -STEP, dropout)) /
                                 (2 * STEP);
            /* Some true gradients are zero (key biases): the largest one sets a floor. */
            const double bound = TOLERANCE * (fabs(slope) + 1e-2 * largest);
            if (!CHECK_CLOSE(gradients[i][at], slope, bound)) {
                fprintf(stderr, "    in %s at %lld\n", info.key, (long long)at);
            }
        }
    }
}

MTF_TEST(every_tensor_nothing_frozen)
{
    mtf_model *model = tiny_model(0, "mean");
    check_gradients(model, 0);
    mtf_model_free(model);
}

MTF_TEST(with_dropout_drawn_again_alike)
{
    mtf_model *model = tiny_model(0.3, "cls");
    check_gradients(model, 1);
    mtf_model_free(model);
}

MTF_TEST(pooler_trains)
{
    mtf_model *model = tiny_model(0, "pooler");
    check_gradients(model, 0);
    mtf_model_free(model);
}

MTF_TEST(poolings_side_by_side_and_dense_modules)
{
    static const char *const poolings[] = {"max+weightedmean+cls",
                                           "lasttoken+mean_sqrt_len_tokens"};
    mtf_model *model;
    for (int p = 0; p < 2; p++) {
        model = tiny_dense_model(0, poolings[p]);
        check_gradients(model, 0);
        mtf_model_free(model);
    }
    model = tiny_dense_model(0.2, "cls");
    tiny_freeze(model, (const char *const[]){"backbone.dense", "cls", NULL});
    check_gradients(model, 1);
    mtf_model_free(model);
}

MTF_TEST(lower_part_frozen)
{
    mtf_model *model = tiny_model(0.2, "mean");
    tiny_freeze(model, (const char *const[]){"backbone.embeddings", "backbone.layers[0]", NULL});
    check_gradients(model, 1);
    mtf_model_free(model);
}

MTF_TEST(a_layer_in_the_middle_and_a_head_frozen)
{
    mtf_model *model = tiny_model(0, "mean");
    tiny_freeze(model, (const char *const[]){"backbone.layers[1]", "ner", NULL});
    check_gradients(model, 0);
    mtf_model_free(model);
}

MTF_TEST(backbone_frozen)
{
    mtf_model *model = tiny_model(0.1, "mean");
    tiny_freeze(model, (const char *const[]){"backbone", NULL});
    check_gradients(model, 1);
    mtf_model_free(model);
}

MTF_TEST(micro_batches_add_up)
{
    mtf_model *model = tiny_model(0.2, "mean");
    static mtf_real whole[64][TINY_VOCABULARY * TINY_WIDTH];
    mtf_error err = {0};
    double means[2], parts[2];
    CHECK(tiny_gradients(model, 4096, 2, 1, means, &err) == MTF_OK);
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        memcpy(whole[i], mtf_train_get_gradient(model, i), (size_t)info.size * sizeof(mtf_real));
    }
    CHECK(tiny_gradients(model, 6, 2, 1, parts, &err) == MTF_OK);
    CHECK_CLOSE(parts[0], means[0], 1e-12);
    CHECK_CLOSE(parts[1], means[1], 1e-12);
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *g = mtf_train_get_gradient(model, i);
        for (int64_t j = 0; j < info.size; j++) {
            if (!CHECK_CLOSE(g[j], whole[i][j], 1e-12)) {
                return;
            }
        }
    }
    mtf_model_free(model);
}
