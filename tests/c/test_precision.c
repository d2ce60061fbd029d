/* Precisions of whole models: what freezing and runs ask for is what is computed, with the same bits
 * at any number of threads and in any batch, and the masters stay.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

/* Wide enough that its weights are packed and run in every precision. */
enum { WIDTH = 256, FFN = 288, LONGEST = 150, MOST_ROWS = 900, SEQUENCES = 24 };

static int32_t ids[MOST_ROWS], labels[SEQUENCES];
static int64_t offsets[SEQUENCES + 1];

static mtf_model *wide_model(void)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK); /* the level in use, not the reference */
    mtf_config *c = tiny_config(0.1, "mean");
    int bad = mtf_config_set_int(c, "hidden_size", WIDTH) != MTF_OK;
    bad |= mtf_config_set_int(c, "num_hidden_layers", 2) != MTF_OK;
    bad |= mtf_config_set_int(c, "num_attention_heads", 8) != MTF_OK;
    bad |= mtf_config_set_int(c, "intermediate_size", FFN) != MTF_OK;
    bad |= mtf_config_set_int(c, "max_position_embeddings", LONGEST) != MTF_OK;
    CHECK(!bad && mtf_model_new(c, &model, &err) == MTF_OK);
    mtf_config_free(c);
    CHECK(tiny_add_head(model, "cls", "sequence_classification", 3, 0, NULL, &err) == 0);
    test_now.random = 11;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        static mtf_real values[FFN * WIDTH];
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        test_fill(values, (size_t)info.size, -0.1, 0.1);
        for (int64_t j = 0; strstr(info.key, "LayerNorm.weight") != NULL && j < info.size; j++) {
            values[j] += 1;
        }
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
    offsets[0] = 0;
    for (int s = 0; s < SEQUENCES; s++) {
        offsets[s + 1] = offsets[s] + (s == 3 ? LONGEST : 3 + 7 * s % 41);
        labels[s] = s % 3;
    }
    CHECK(offsets[SEQUENCES] <= MOST_ROWS);
    for (int64_t t = 0; t < offsets[SEQUENCES]; t++) {
        ids[t] = (int32_t)(t * 7 % TINY_VOCABULARY);
    }
    return model;
}

static mtf_batch batch_of(int first, int n, mtf_rows *rows, mtf_input *input, int64_t *own)
{
    for (int s = 0; s <= n; s++) {
        own[s] = offsets[first + s] - offsets[first];
    }
    *rows = (mtf_rows){.space = "tokens", .offsets = own};
    *input = (mtf_input){"ids", ids + offsets[first]};
    return (mtf_batch){n, 1, rows, 1, input, 0, NULL};
}

/* "embedding" of sequences first .. first + n - 1 into data (n, WIDTH). */
static void encode(mtf_model *model, int first, int n, int precision, mtf_real *data)
{
    mtf_error err = {0};
    mtf_rows rows;
    mtf_input input;
    int64_t own[SEQUENCES + 1];
    const mtf_batch batch = batch_of(first, n, &rows, &input, own);
    const mtf_output output = {"embedding", data};
    CHECK_MSG(mtf_model_forward(model, &batch, 1, &output, precision, &err) == MTF_OK, err.text);
}

/* Every weight of the backbone's layers `first` on, frozen or not, in this precision. */
static void set(mtf_model *model, int frozen, mtf_precision precision)
{
    uint8_t params[64] = {0}, precisions[64] = {0}, units[16] = {0};
    mtf_error err = {0};
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const int chosen = strncmp(info.key, "backbone", 8) == 0;
        params[i] = (uint8_t)(frozen && chosen);
        precisions[i] = (uint8_t)(chosen ? precision : MTF_PRECISION_F32);
    }
    CHECK(mtf_model_set_frozen(model, params, mtf_model_n_params(model), units,
                               mtf_model_n_units(model), &err) == MTF_OK);
    CHECK(mtf_model_set_precision(model, precisions, mtf_model_n_params(model), &err) == MTF_OK);
}

static double distance(const mtf_real *a, const mtf_real *b, int64_t n)
{
    double sum = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(sum / norm);
}

static mtf_real exact[SEQUENCES * WIDTH], got[SEQUENCES * WIDTH], again[SEQUENCES * WIDTH];

MTF_TEST(rows_have_the_same_bits_in_any_batch_and_on_any_threads)
{
    const int before = mtf_threads_get();
    mtf_error err = {0};
    mtf_model *model = wide_model();
    for (int p = 0; p < MTF_N_PRECISIONS; p++) {
        CHECK(mtf_threads_set(1, &err) == MTF_OK);
        encode(model, 0, SEQUENCES, p, exact);
        for (int threads = 1; threads <= 8; threads += threads < 4 ? 1 : 4) {
            CHECK(mtf_threads_set(threads, &err) == MTF_OK);
            memset(got, 0, sizeof got);
            encode(model, 0, SEQUENCES, p, got);
            CHECK_BITS(got, exact, sizeof got);
            for (int s = 0; s < SEQUENCES; s += s % 3 ? 2 : 1) { /* alone: all workers share it */
                encode(model, s, 1, p, got);
                CHECK_BITS(got, exact + s * WIDTH, WIDTH * sizeof *got);
            }
        }
    }
    CHECK(mtf_threads_set(before, &err) == MTF_OK);
    mtf_model_free(model);
}

MTF_TEST(frozen_parts_run_in_their_precision)
{
    static const double limits[] = {0, 0.02, 0.05};
    mtf_model *model = wide_model();
    encode(model, 0, SEQUENCES, MTF_AS_FROZEN, exact);
    for (int p = 1; p < MTF_N_PRECISIONS; p++) {
        encode(model, 0, SEQUENCES, p, again);
        const double apart = distance(again, exact, SEQUENCES * WIDTH);
        CHECK(apart > 0 && apart < limits[p]);
        const uint64_t version = mtf_model_version(model);
        set(model, 1, (mtf_precision)p);
        CHECK(mtf_model_version(model) != version);
        encode(model, 0, SEQUENCES, MTF_AS_FROZEN, got);
        CHECK_BITS(got, again, sizeof got);
        encode(model, 0, SEQUENCES, MTF_UNLESS_FROZEN + MTF_PRECISION_F32, got);
        CHECK_BITS(got, again, sizeof got);
        encode(model, 0, SEQUENCES, MTF_PRECISION_F32, got);
        CHECK_BITS(got, exact, sizeof got);
        set(model, 0, (mtf_precision)p); /* not frozen: what was said does not act */
        encode(model, 0, SEQUENCES, MTF_AS_FROZEN, got);
        CHECK_BITS(got, exact, sizeof got);
        encode(model, 0, SEQUENCES, MTF_UNLESS_FROZEN + p, got);
        CHECK_BITS(got, again, sizeof got);
    }
    mtf_model_free(model);
}

/* Gradients of one step, one after another; returns how many values. */
static size_t gradients(mtf_model *model, mtf_precision precision, mtf_real *all)
{
    mtf_error err = {0};
    mtf_rows rows;
    mtf_input input;
    int64_t own[SEQUENCES + 1];
    const mtf_batch batch = batch_of(0, SEQUENCES, &rows, &input, own);
    const mtf_loss loss = {.output = "cls", .targets = labels, .weight = 1.0};
    const mtf_train_options options = {.seed = 1, .dropout = 1, .precision = precision};
    CHECK_MSG(mtf_train_gradients(model, &batch, 1, &loss, 0, NULL, 400, &options, NULL, NULL,
                                  &err) == MTF_OK,
              err.text);
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *gradient = mtf_train_get_gradient(model, i);
        if (gradient != NULL) {
            memcpy(all + n, gradient, (size_t)info.size * sizeof *all);
            n += (size_t)info.size;
        }
    }
    return n;
}

MTF_TEST(gradients_in_bf16)
{
    static mtf_real whole[1 << 20], halved[1 << 20], repeated[1 << 20];
    const int before = mtf_threads_get();
    mtf_error err = {0};
    mtf_model *model = wide_model();
    const size_t n = gradients(model, MTF_PRECISION_F32, whole);
    CHECK(n > 0 && n <= 1 << 20);
    CHECK_INT(gradients(model, MTF_PRECISION_BF16, halved), n);
    const double apart = distance(halved, whole, (int64_t)n);
    CHECK(apart > 0 && apart < 0.05);
    for (int p = 0; p < 2; p++) {
        for (int threads = 1; threads <= 8; threads += threads < 4 ? 1 : 4) {
            CHECK(mtf_threads_set(threads, &err) == MTF_OK);
            CHECK_INT(gradients(model, (mtf_precision)p, repeated), n);
            CHECK_BITS(repeated, p ? halved : whole, n * sizeof *whole);
        }
    }
    CHECK(mtf_threads_set(before, &err) == MTF_OK);
    mtf_model_free(model);
}

/* A step changes the master, and the next run multiplies with the new one. */
MTF_TEST(steps_and_writes_reach_the_packed_weights)
{
    static double rates[64], decays[64];
    mtf_error err = {0};
    mtf_update_result result;
    static mtf_real all[1 << 20];
    mtf_model *model = wide_model(), *fresh = wide_model();
    for (int i = 0; i < 64; i++) {
        rates[i] = 1e-2;
    }
    const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
    for (int p = 0; p < MTF_N_PRECISIONS; p++) {
        encode(model, 0, SEQUENCES, p, exact);
        (void)gradients(model, MTF_PRECISION_F32, all);
        CHECK(mtf_train_apply(model, &update, &result, &err) == MTF_OK);
        encode(model, 0, SEQUENCES, p, got);
        CHECK(distance(got, exact, SEQUENCES * WIDTH) > 1e-4);
        for (size_t i = 0; i < mtf_model_n_params(model); i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            CHECK(mtf_model_set_param(fresh, i, info.data, (size_t)info.size, &err) == MTF_OK);
        }
        encode(fresh, 0, SEQUENCES, p, again);
        CHECK_BITS(again, got, sizeof got);
    }
    mtf_model_free(model);
    mtf_model_free(fresh);
}

MTF_TEST(a_failed_allocation_leaves_the_model_usable)
{
    mtf_error err = {0};
    mtf_model *model = wide_model();
    encode(model, 0, SEQUENCES, MTF_PRECISION_F32, exact);
    int failures = 0;
    for (uint64_t n = 1; n < 100; n++) {
        mtf_rows rows;
        mtf_input input;
        int64_t own[SEQUENCES + 1];
        const mtf_batch batch = batch_of(0, SEQUENCES, &rows, &input, own);
        const mtf_output output = {"embedding", got};
        mtf_memory_fail_after(n);
        const mtf_status status =
            mtf_model_forward(model, &batch, 1, &output, MTF_PRECISION_INT8, &err);
        mtf_memory_fail_after(0);
        if (status == MTF_OK) {
            break;
        }
        CHECK_INT(status, MTF_ERR_MEMORY);
        failures++;
        encode(model, 0, SEQUENCES, MTF_PRECISION_F32, again);
        CHECK_BITS(again, exact, sizeof exact);
    }
    CHECK(failures > 5); /* one a form at least */
    mtf_model_free(model);
}

MTF_TEST(wrong_precisions_are_refused)
{
    mtf_error err = {0};
    mtf_model *model = wide_model();
    uint8_t params[64] = {0};
    mtf_rows rows;
    mtf_input input;
    int64_t own[SEQUENCES + 1];
    const mtf_batch batch = batch_of(0, 1, &rows, &input, own);
    const mtf_output output = {"embedding", got};
    static const int wrong[] = {-2, 3, 15, 19, 100};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_INT(mtf_model_forward(model, &batch, 1, &output, wrong[i], &err), MTF_ERR_VALUE);
    }
    const mtf_train_options options = {.precision = MTF_PRECISION_INT8};
    CHECK_INT(mtf_train_begin(model, &options, &err), MTF_ERR_VALUE);
    CHECK_INT(mtf_model_set_precision(model, params, 3, &err), MTF_ERR_SHAPE);
    params[4] = 9;
    CHECK_INT(mtf_model_set_precision(model, params, mtf_model_n_params(model), &err),
              MTF_ERR_VALUE);
    CHECK(strstr(err.text, "parameter 4") != NULL);
    mtf_model_free(model);
}
