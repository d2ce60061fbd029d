/* fuzz_calls.h: the calls of the fuzzer of the core, one function each, and what is checked after them.
 *
 * A call draws its arguments, says from them and from the shadow whether it must be answered with
 * MTF_OK, must be refused or may be either, and brings the shadow up to date.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_FUZZ_CALLS_H
#define MTF_TEST_FUZZ_CALLS_H

#include "fuzz_model.h"

#include <math.h>

/* ---- checks ------------------------------------------------------------------------------------ */

/* A status is one of mtfreeze.h, with a text exactly if it refuses. */
static inline void fuzz_expect(fuzz *f, mtf_status status, const mtf_error *err, fuzz_must must)
{
    const int refused = status != MTF_OK;
    if (status > MTF_OK || status < MTF_ERR_STATE) {
        fuzz_fail(f, "status %d is none", (int)status);
    } else if (refused != (err->text[0] != 0) || (refused && err->code != status)) {
        fuzz_fail(f, "status %d came with code %d and the text \"%s\"", (int)status, (int)err->code,
                  err->text);
    } else if (must == FUZZ_OK && refused && !(f->can_fail && status == MTF_ERR_MEMORY)) {
        fuzz_fail(f, "refused with %d: %s", (int)status, err->text);
    } else if (must == FUZZ_REFUSED && !refused) {
        fuzz_fail(f, "was not refused");
    }
}

/* Makes an allocation of the next call fail, at times. */
static inline void fuzz_may_fail(fuzz *f)
{
    if (f->can_fail && fuzz_once_in(f, 12)) {
        mtf_memory_fail_after(1 + (uint64_t)fuzz_below(f, 20));
    }
}

static inline void fuzz_stop_waiting(fuzz *f)
{
    fuzz_batch_free(f->waiting);
    f->waiting = NULL;
    f->waits = 0;
}

static inline void fuzz_close(fuzz *f)
{
    f->open = 0;
    fuzz_stop_waiting(f);
}

/* Reads the weights of the model into the shadow. */
static inline void fuzz_take_weights(fuzz *f)
{
    for (size_t i = 0; i < FUZZ_MAX_PARAMS; i++) {
        free(f->weights[i]);
        f->weights[i] = NULL;
    }
    for (size_t i = 0; i < mtf_model_n_params(f->model); i++) {
        mtf_param_info info;
        mtf_model_get_param(f->model, i, &info);
        f->weights[i] = fuzz_values(f, 0, 0);
        f->weights[i] = realloc(f->weights[i], (size_t)info.size * sizeof *info.data);
        memcpy(f->weights[i], info.data, (size_t)info.size * sizeof *info.data);
    }
}

/* Brings the shadow of a parameter of the same size, and those that hold it, up to date. */
static inline void fuzz_take_values(fuzz *f, size_t index, const mtf_param_info *info)
{
    const size_t bytes = (size_t)info->size * sizeof *info->data;
    memcpy(f->weights[index], info->data, bytes);
    for (int i = 0; i < FUZZ_MAX_HELD; i++) {
        if (f->held[i].data == info->data) {
            memcpy(f->held[i].copy, info->data, bytes);
        }
    }
}

/* The model is what its shadow says. */
static inline void fuzz_check(fuzz *f)
{
    mtf_memory_fail_after(0);
    for (size_t i = 0; i < mtf_model_n_params(f->model) && f->failure[0] == 0; i++) {
        mtf_param_info info;
        mtf_model_get_param(f->model, i, &info);
        if (memcmp(info.data, f->weights[i], (size_t)info.size * sizeof *info.data) != 0) {
            fuzz_fail(f, "the weights of %s changed", info.key);
        }
        if (info.frozen != f->frozen[i] || (int)info.precision != f->precision[i]) {
            fuzz_fail(f, "the freeze state of %s changed", info.key);
        }
        if (info.frozen && (info.n_steps != 0 || mtf_train_get_gradient(f->model, i) != NULL)) {
            fuzz_fail(f, "%s is frozen and has a state or a gradient", info.key);
        }
    }
    for (int i = 0; i < FUZZ_MAX_HELD; i++) {
        if (f->held[i].values != NULL &&
            memcmp(f->held[i].data, f->held[i].copy, f->held[i].n * sizeof(mtf_real)) != 0) {
            fuzz_fail(f, "held values changed");
        }
    }
    if (mtf_model_version(f->model) != f->version) {
        fuzz_fail(f, "the version is %" PRIu64 ", expected %" PRIu64, mtf_model_version(f->model),
                  f->version);
    }
}

static inline void fuzz_raised(fuzz *f)
{
    const uint64_t version = mtf_model_version(f->model);
    if (version <= f->version) {
        fuzz_fail(f, "the version was not raised");
    }
    f->version = version;
}

/* An index of a parameter, at times of none; *must says which. */
static inline size_t fuzz_param(fuzz *f, mtf_param_info *info, fuzz_must *must)
{
    const size_t n = mtf_model_n_params(f->model);
    const size_t index = (size_t)fuzz_below(f, (int64_t)n);
    mtf_model_get_param(f->model, index, info);
    if (fuzz_once_in(f, 12)) {
        *must = FUZZ_REFUSED;
        return fuzz_once_in(f, 2) ? n : SIZE_MAX;
    }
    return index;
}

/* Values for a parameter; at times some that are not finite, after which no step must go well. */
static inline mtf_real *fuzz_param_values(fuzz *f, size_t n)
{
    mtf_real *values = fuzz_values(f, n, 0.5);
    if (fuzz_once_in(f, 20)) {
        values[fuzz_below(f, (int64_t)n)] = fuzz_once_in(f, 2) ? (mtf_real)NAN : (mtf_real)1e38;
        f->wild = 1;
    }
    return values;
}

/* ---- a step ------------------------------------------------------------------------------------ */

static inline mtf_train_options fuzz_options(fuzz *f, fuzz_must *must)
{
    mtf_train_options options = {.seed = fuzz_random(f),
                                 .step = fuzz_once_in(f, 4) ? UINT64_MAX : fuzz_random(f) >> 40,
                                 .dropout = (int)fuzz_below(f, 2),
                                 .precision = (mtf_precision)fuzz_below(f, 2),
                                 .save_bf16 = fuzz_once_in(f, 4)};
    if (fuzz_once_in(f, 12)) {
        options.precision = MTF_PRECISION_INT8;
        *must = FUZZ_REFUSED;
    }
    return options;
}

static inline void fuzz_call_begin(fuzz *f)
{
    fuzz_must must = FUZZ_OK;
    mtf_error err = {MTF_OK, ""};
    const mtf_train_options options = fuzz_options(f, &must);
    fuzz_close(f);
    fuzz_may_fail(f);
    f->open = mtf_train_begin(f->model, &options, &err) == MTF_OK;
    fuzz_expect(f, f->open ? MTF_OK : err.code, &err, must);
}

/* Names of outputs, some of them twice; at times one that there is not. */
static inline size_t fuzz_names(fuzz *f, const char **names, fuzz_must *must)
{
    const size_t n = 1 + (size_t)fuzz_below(f, FUZZ_MAX_WANTED);
    for (size_t i = 0; i < n; i++) {
        names[i] = fuzz_output(f);
    }
    if (fuzz_once_in(f, 12)) {
        names[n - 1] = "nothing";
        *must = FUZZ_REFUSED;
    }
    return n;
}

/* Blocks for the values of these outputs. */
static inline void fuzz_outputs(fuzz *f, const fuzz_batch *b, size_t n, const char *const *names,
                                mtf_output *outputs)
{
    for (size_t i = 0; i < n; i++) {
        outputs[i] = (mtf_output){names[i], fuzz_values(f, fuzz_output_size(f, b, names[i]), 1)};
    }
}

static inline fuzz_must fuzz_worse(fuzz_must one, fuzz_must other)
{
    return one == FUZZ_REFUSED || other == FUZZ_REFUSED ? FUZZ_REFUSED
           : one == FUZZ_EITHER                         ? one
                                                        : other;
}

static inline void fuzz_now_waits(fuzz *f, fuzz_batch *b, size_t n, const char *const *names)
{
    f->waits = 1;
    f->waiting = b;
    f->n_wanted = n;
    memcpy(f->wanted, names, n * sizeof *names);
}

static inline void fuzz_call_train_forward(fuzz *f)
{
    const char *names[FUZZ_MAX_WANTED];
    mtf_output outputs[FUZZ_MAX_WANTED];
    mtf_real *values[FUZZ_MAX_WANTED];
    mtf_error err = {MTF_OK, ""};
    fuzz_batch *b = fuzz_batch_new(f);
    fuzz_must must = f->open ? b->must : FUZZ_REFUSED;
    int64_t first = fuzz_below(f, 4) * (MTF_MAX_COUNT / 3);
    const size_t n = fuzz_names(f, names, &must);
    if (fuzz_once_in(f, 12)) {
        first = fuzz_bad_count(f);
        must = FUZZ_REFUSED;
    }
    fuzz_outputs(f, b, n, names, outputs);
    for (size_t i = 0; i < n; i++) {
        values[i] = outputs[i].data;
    }
    fuzz_stop_waiting(f);
    fuzz_may_fail(f);
    const mtf_status status = mtf_train_forward(f->model, &b->batch, first, n, names, values, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        fuzz_now_waits(f, b, n, names);
    } else {
        fuzz_batch_free(b);
    }
    for (size_t i = 0; i < n; i++) {
        free(values[i]);
    }
}

static inline int64_t fuzz_budget(fuzz *f, fuzz_must *must)
{
    static const int64_t budgets[] = {1, 5, 13, 4096, INT64_MAX, 0, -1, INT64_MIN};
    const int64_t i = fuzz_below(f, fuzz_once_in(f, 8) ? 8 : 5);
    *must = i < 5 ? *must : FUZZ_REFUSED;
    return budgets[i];
}

static inline void fuzz_call_train_outputs(fuzz *f)
{
    const char *names[FUZZ_MAX_WANTED];
    mtf_output outputs[FUZZ_MAX_WANTED];
    mtf_error err = {MTF_OK, ""};
    int waits = 0;
    fuzz_batch *b = fuzz_batch_new(f);
    fuzz_must must = f->open ? b->must : FUZZ_REFUSED;
    const size_t n = fuzz_names(f, names, &must);
    const int64_t budget = fuzz_budget(f, &must);
    fuzz_outputs(f, b, n, names, outputs);
    fuzz_stop_waiting(f);
    fuzz_may_fail(f);
    const mtf_status status =
        mtf_train_outputs(f->model, &b->batch, n, outputs, budget, &waits, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK && waits) {
        fuzz_now_waits(f, b, n, names);
    } else {
        fuzz_batch_free(b);
    }
    for (size_t i = 0; i < n; i++) {
        free(outputs[i].data);
    }
}

/* What a backward goes out from: a loss of a head, or a gradient injected at an output. */
typedef struct fuzz_goal {
    int n_losses, n_injections;
    mtf_loss loss;
    mtf_injection injection;
    int32_t labels[FUZZ_MAX_TOKENS];
    mtf_real *grad; /* (N, width) */
} fuzz_goal;

static inline void fuzz_labels(fuzz *f, int32_t *labels, fuzz_must *must)
{
    for (int i = 0; i < FUZZ_MAX_TOKENS; i++) {
        labels[i] = fuzz_once_in(f, 3) ? MTF_IGNORE_LABEL : (int32_t)fuzz_below(f, FUZZ_LABELS);
    }
    if (fuzz_once_in(f, 12)) {
        labels[0] = fuzz_once_in(f, 2) ? FUZZ_LABELS : INT32_MIN;
        *must = FUZZ_REFUSED;
    }
}

static inline fuzz_goal *fuzz_goal_new(fuzz *f, const fuzz_batch *b, const char *name,
                                       fuzz_must *must)
{
    fuzz_goal *goal = calloc(1, sizeof *goal);
    const fuzz_head *head = NULL;
    if (goal == NULL) {
        abort();
    }
    for (int i = 0; i < f->n_heads; i++) {
        head = strcmp(f->heads[i].name, name) == 0 ? &f->heads[i] : head;
    }
    if (head != NULL && fuzz_once_in(f, 2)) {
        goal->n_losses = 1;
        fuzz_labels(f, goal->labels, must);
        goal->loss = (mtf_loss){.output = head->name, .targets = goal->labels, .weight = 1.5};
        if (fuzz_once_in(f, 12)) {
            goal->loss.type = MTF_TARGET_ROWS;
            *must = FUZZ_REFUSED;
        }
    } else {
        goal->n_injections = 1;
        goal->grad = fuzz_values(f, fuzz_output_size(f, b, name), 0.1);
        goal->injection = (mtf_injection){name, goal->grad};
    }
    return goal;
}

static inline void fuzz_goal_free(fuzz_goal *goal)
{
    free(goal->grad);
    free(goal);
}

static inline void fuzz_call_backward(fuzz *f)
{
    mtf_error err = {MTF_OK, ""};
    double sum = 0;
    const double scale = 0.25;
    fuzz_must must = !f->waits ? FUZZ_REFUSED : f->wild ? FUZZ_EITHER : FUZZ_OK;
    fuzz_batch *b = f->waits ? f->waiting : fuzz_batch_new(f);
    const char *name = f->waits ? f->wanted[fuzz_below(f, (int64_t)f->n_wanted)] : fuzz_output(f);
    if (f->waits && fuzz_once_in(f, 10)) {
        name = fuzz_output(f);
        must = fuzz_worse(must, FUZZ_EITHER);
    }
    fuzz_goal *goal = fuzz_goal_new(f, b, name, &must);
    fuzz_may_fail(f);
    const mtf_status status =
        mtf_train_backward(f->model, (size_t)goal->n_losses, &goal->loss, &scale, &sum,
                           (size_t)goal->n_injections, &goal->injection, &err);
    fuzz_expect(f, status, &err, must);
    if (!f->waits) {
        fuzz_batch_free(b);
        if (status != MTF_ERR_STATE) {
            fuzz_fail(f, "nothing waits, and the status is %d", (int)status);
        }
    } else if (status == MTF_OK) {
        fuzz_stop_waiting(f);
    }
    fuzz_goal_free(goal);
}

static inline void fuzz_call_gradients(fuzz *f)
{
    mtf_error err = {MTF_OK, ""};
    double mean = 0;
    int64_t n_labelled = 0;
    fuzz_batch *b = fuzz_batch_new(f);
    fuzz_must must = fuzz_worse(f->wild ? FUZZ_EITHER : FUZZ_OK, b->must);
    const mtf_train_options options = fuzz_options(f, &must);
    const int64_t budget = fuzz_budget(f, &must);
    fuzz_goal *goal = fuzz_goal_new(f, b, fuzz_output(f), &must);
    fuzz_close(f);
    fuzz_may_fail(f);
    const mtf_status status = mtf_train_gradients(
        f->model, &b->batch, (size_t)goal->n_losses, &goal->loss, (size_t)goal->n_injections,
        &goal->injection, budget, &options, &mean, &n_labelled, &err);
    fuzz_expect(f, status, &err, must);
    f->open = status == MTF_OK;
    fuzz_batch_free(b);
    fuzz_goal_free(goal);
}

static inline void fuzz_call_apply(fuzz *f)
{
    double rates[FUZZ_MAX_PARAMS], decays[FUZZ_MAX_PARAMS];
    mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
    mtf_update_result result;
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = !f->open ? FUZZ_REFUSED : f->wild ? FUZZ_EITHER : FUZZ_OK;
    static const double bad_rates[] = {NAN, INFINITY, -1, 1e30, 1e300};
    const double rate = fuzz_once_in(f, 10) ? bad_rates[fuzz_below(f, 5)] : 1e-3;
    if (rate !=
        1e-3) { /* bad where something is stepped; the weights may come close to the largest */
        must = fuzz_worse(must, FUZZ_EITHER);
        f->wild = 1;
    }
    for (int i = 0; i < FUZZ_MAX_PARAMS; i++) {
        rates[i] = rate;
        decays[i] = 0.01;
    }
    switch (fuzz_below(f, 12)) {
    case 0:
        update.beta1 = 1;
        must = FUZZ_REFUSED;
        break;
    case 1:
        update.eps = -1;
        must = FUZZ_REFUSED;
        break;
    case 2:
        update.max_grad_norm = NAN;
        must = FUZZ_REFUSED;
        break;
    case 3:
        update.max_grad_norm = 0;
        break;
    default:
        break;
    }
    int reached[FUZZ_MAX_PARAMS];
    for (size_t i = 0; i < mtf_model_n_params(f->model); i++) {
        reached[i] = mtf_train_get_gradient(f->model, i) != NULL;
    }
    fuzz_may_fail(f);
    const mtf_status status = mtf_train_apply(f->model, &update, &result, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        for (size_t i = 0; i < mtf_model_n_params(f->model); i++) {
            mtf_param_info info;
            mtf_model_get_param(f->model, i, &info);
            if (reached[i] && !info.frozen) { /* all others stay, which fuzz_check() sees */
                fuzz_take_values(f, i, &info);
            }
        }
        fuzz_close(f);
    }
}

static inline void fuzz_call_reset(fuzz *f)
{
    fuzz_close(f);
    mtf_train_reset(f->model);
}

#endif
