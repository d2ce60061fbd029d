/* The head that finds objects, on an invented backbone with queries: what it computes, gradients
 * through it and below, micro-batches and threads, backbones that it refuses.
 *
 *   s_0 = tanh(W_0 x),  s_1 = tanh(W_1 s_0)     a row for each query: "queries.0", "queries.1"
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../csrc/base/status.h"
#include "../../csrc/model/registry.h"
#include "../../csrc/object/object.h"
#include "tiny_bert.h"
#include "tolerances.h"

#ifdef MTF_REAL_DOUBLE
#define CLOSE 1e-12
#else
#define CLOSE 2e-5
#endif

enum { WIDTH = 6, Q = 5, PICTURES = 7, ROWS = Q * PICTURES, LABELS = 2, ANSWER = LABELS + 5 };
enum { MOST = 4096 };

static mtf_status build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    static const int64_t shape[2] = {WIDTH, WIDTH};
    int layers = 2;
    MTF_TRY(mtf_config_get_bool(config, "layers", &layers, err));
    const int32_t queries = mtf_program_space(p, "queries", Q);
    mtf_tensor_id x = mtf_program_input_rows(p, "rows", queries, WIDTH);
    for (int i = 0; i < 2; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "backbone.layers[%d]", i);
        mtf_program_unit(p, key, 0);
        (void)snprintf(key, sizeof key, "backbone.%d.weight", i);
        const int32_t w =
            mtf_program_param(p, key, 2, shape, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO, 0);
        x = mtf_node_linear(p, key, x, w, -1, MTF_ACT_TANH);
        (void)snprintf(key, sizeof key, "queries.%d", i);
        if (layers) {
            mtf_program_output(p, key, x);
        }
    }
    mtf_program_end_unit(p);
    mtf_program_output(p, layers ? "queries" : "hidden", x);
    return mtf_program_finish(p, err);
}

static const mtf_family family = {"of_queries", build};

static mtf_model *model_of(int layers)
{
    mtf_model *model = NULL;
    mtf_config *config = mtf_config_new();
    mtf_error err = {0};
    CHECK(mtf_config_set_bool(config, "layers", layers) == MTF_OK);
    CHECK(mtf_object_new(&family, config, &model, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    mtf_config_free(config);
    return model;
}

static mtf_status add(mtf_model *model, int auxiliary, mtf_error *err)
{
    mtf_config *c = mtf_config_new();
    CHECK(mtf_config_set_text(c, "kind", "detection") == MTF_OK);
    CHECK(mtf_config_set_int(c, "n_labels", LABELS) == MTF_OK);
    CHECK(mtf_config_set_bool(c, "auxiliary", auxiliary) == MTF_OK);
    const mtf_status status = mtf_model_add_head(model, "found", c, 7, err);
    mtf_config_free(c);
    return status;
}

static mtf_model *model_with_head(int auxiliary)
{
    mtf_error err = {0};
    mtf_model *model = model_of(1);
    test_now.random = 29;
    CHECK(add(model, auxiliary, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_real values[WIDTH * WIDTH];
        mtf_model_get_param(model, i, &info);
        test_fill(values, (size_t)info.size, -0.8, 0.8);
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
    return model;
}

/* Pictures with 0 .. Q boxes; one has no target. */
typedef struct query_batch {
    int64_t offsets[PICTURES + 1];
    mtf_real x[ROWS * WIDTH], targets[ROWS * 5];
    mtf_rows spaces[1];
    mtf_input inputs[1];
    mtf_batch batch;
} query_batch;

static query_batch b;

static void fill(void)
{
    test_now.random = 31;
    test_fill(b.x, ROWS * WIDTH, -1, 1);
    test_fill(b.targets, ROWS * 5, 0.2, 0.8);
    for (int s = 0; s <= PICTURES; s++) {
        b.offsets[s] = s * Q;
        for (int i = 0; i < Q && s < PICTURES; i++) {
            const double label = i < s % (Q + 1) ? (double)test_integer(0, LABELS - 1) : -1;
            b.targets[(s * Q + i) * 5] = (mtf_real)(s == 4 ? NAN : label);
        }
    }
    b.spaces[0] = (mtf_rows){.space = "queries", .offsets = b.offsets};
    b.inputs[0] = (mtf_input){"rows", b.x};
    b.batch = (mtf_batch){PICTURES, 1, b.spaces, 1, b.inputs, 0, NULL};
}

static double gradients(mtf_model *model, int64_t budget, mtf_error *err)
{
    const mtf_loss loss = {
        .output = "found", .type = MTF_TARGET_ROWS, .targets = b.targets, .weight = 0.5};
    const mtf_train_options options = {.seed = 3};
    double mean = 0;
    int64_t n = 0;
    CHECK(mtf_train_gradients(model, &b.batch, 1, &loss, 0, NULL, budget, &options, &mean, &n,
                              err) == MTF_OK);
    CHECK_TEXT(err->text, "");
    CHECK_INT(n, ROWS - Q);
    return mean;
}

/* Gradients of all parameters, one after another; returns how many. */
static size_t dump(const mtf_model *model, mtf_real *all)
{
    size_t n = 0;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        const mtf_real *from = mtf_train_get_gradient(model, i);
        if (CHECK(from != NULL)) {
            memcpy(all + n, from, (size_t)info.size * sizeof *all);
            n += (size_t)info.size;
        }
    }
    return n;
}

static void forward(mtf_model *model, const char *name, mtf_real *data)
{
    mtf_error err = {0};
    const mtf_output output = {name, data};
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
}

static const mtf_real *values_of(const mtf_model *model, const char *key)
{
    mtf_param_info info = {0};
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_model_get_param(model, i, &info);
        if (strcmp(info.key, key) == 0) {
            return info.data;
        }
    }
    CHECK_MSG(0, key);
    return info.data;
}

/* y (n) = W x + b of a part of the head. */
static void layer(const mtf_model *model, const char *part, double *y, const double *x, int n)
{
    char key[64];
    (void)snprintf(key, sizeof key, "found.%s.weight", part);
    const mtf_real *w = values_of(model, key);
    (void)snprintf(key, sizeof key, "found.%s.bias", part);
    const mtf_real *bias = values_of(model, key);
    for (int i = 0; i < n; i++) {
        y[i] = (double)bias[i];
        for (int j = 0; j < WIDTH; j++) {
            y[i] += (double)w[i * WIDTH + j] * x[j];
        }
    }
}

MTF_TEST(rows_are_the_answers_of_the_layers_in_order)
{
    static mtf_real states[2][ROWS * WIDTH], got[ROWS * 2 * ANSWER], last[ROWS * ANSWER];
    mtf_model *model = model_with_head(1);
    fill();
    forward(model, "queries.0", states[0]);
    forward(model, "queries", states[1]);
    forward(model, "found", got);
    for (int row = 0; row < ROWS; row++) {
        for (int part = 0; part < 2; part++) {
            double x[WIDTH], y[ANSWER], h[2][WIDTH];
            for (int j = 0; j < WIDTH; j++) {
                x[j] = (double)states[part][row * WIDTH + j];
            }
            layer(model, "labels", y, x, LABELS + 1);
            layer(model, "boxes.0", h[0], x, WIDTH);
            for (int j = 0; j < WIDTH; j++) {
                h[0][j] = fmax(0, h[0][j]);
            }
            layer(model, "boxes.1", h[1], h[0], WIDTH);
            for (int j = 0; j < WIDTH; j++) {
                h[1][j] = fmax(0, h[1][j]);
            }
            layer(model, "boxes.2", y + LABELS + 1, h[1], 4);
            for (int j = 0; j < ANSWER; j++) {
                y[j] = j > LABELS ? 1 / (1 + exp(-y[j])) : y[j];
                CHECK_CLOSE(got[(row * 2 + part) * ANSWER + j], y[j], CLOSE);
            }
        }
    }
    mtf_model *plain = model_with_head(0);
    forward(plain, "found", last);
    for (int row = 0; row < ROWS; row++) {
        CHECK_BITS(last + row * ANSWER, got + (row * 2 + 1) * ANSWER, ANSWER * sizeof *last);
    }
    mtf_model_free(plain);
    mtf_model_free(model);
}

MTF_TEST(micro_batches_add_up_at_any_thread_count)
{
    static const int64_t budgets[] = {MOST, Q, 2 * Q, 3 * Q};
    static mtf_real whole[MOST], parts[MOST];
    mtf_error err = {0};
    fill();
    double first = 0;
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(mtf_threads_set(threads, &err) == MTF_OK);
        mtf_model *model = model_with_head(1);
        for (int i = 0; i < 4; i++) {
            const double mean = gradients(model, budgets[i], &err);
            const size_t n = dump(model, i == 0 && threads == 1 ? whole : parts);
            if (i == 0 && threads == 1) {
                first = mean;
                continue;
            }
            CHECK_CLOSE(mean, first, CLOSE);
            if (i == 0) {
                CHECK(mean == first);
                CHECK_BITS(parts, whole, n * sizeof *parts);
            }
            for (size_t j = 0; j < n && CHECK_CLOSE(parts[j], whole[j], CLOSE); j++) {
            }
        }
        mtf_model_free(model);
    }
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
}

#ifdef MTF_REAL_DOUBLE
MTF_TEST(gradients_are_central_differences)
{
    static mtf_real all[MOST];
    const double step = 1e-6;
    mtf_error err = {0};
    fill();
    for (int auxiliary = 0; auxiliary < 2; auxiliary++) {
        mtf_model *model = model_with_head(auxiliary);
        size_t start = 0;
        (void)gradients(model, 2 * Q, &err);
        (void)dump(model, all);
        for (size_t i = 0; i < mtf_model_n_params(model); i++) {
            mtf_param_info info;
            mtf_model_get_param(model, i, &info);
            for (int64_t at = 0; at < info.size; at += 3) {
                mtf_real values[WIDTH * WIDTH];
                double at_side[2];
                memcpy(values, info.data, (size_t)info.size * sizeof *values);
                const double held = values[at];
                for (int side = 0; side < 2; side++) {
                    values[at] = held + (side == 0 ? -step : step);
                    CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
                    at_side[side] = 0.5 * gradients(model, 2 * Q, &err);
                }
                values[at] = held;
                CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
                CHECK_CLOSE(all[start + (size_t)at], (at_side[1] - at_side[0]) / (2 * step), 1e-8);
            }
            start += (size_t)info.size;
        }
        mtf_model_free(model);
    }
}
#endif

MTF_TEST(a_backbone_without_queries_is_refused)
{
    mtf_error err = {0};
    mtf_model *model = model_of(0);
    CHECK(add(model, 1, &err) == MTF_ERR_CONFIG);
    CHECK_TEXT(err.text,
               "head \"found\" finds objects by the queries of a backbone, which this one "
               "does not have; take one that does, such as DETR");
    mtf_model_free(model);
}

/* No step of the loss allocates once the first has. */
MTF_TEST(steps_allocate_nothing)
{
    mtf_error err = {0};
    mtf_memory_info before, after;
    mtf_model *model = model_with_head(1);
    fill();
    (void)gradients(model, 2 * Q, &err);
    (void)gradients(model, 2 * Q, &err);
    mtf_memory_get(&before);
    (void)gradients(model, 2 * Q, &err);
    mtf_memory_get(&after);
    CHECK_INT(after.n_allocations, before.n_allocations);
    mtf_model_free(model);
}
