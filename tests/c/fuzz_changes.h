/* fuzz_changes.h: the calls of the fuzzer of the core that change a model; its begin and end; and the
 * fresh model with the same weights, which must give the same bits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_FUZZ_CHANGES_H
#define MTF_TEST_FUZZ_CHANGES_H

#include "fuzz_reads.h"

static inline void fuzz_call_set_frozen(fuzz *f)
{
    uint8_t params[FUZZ_MAX_PARAMS], units[FUZZ_MAX_UNITS];
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    const mtf_freeze_mask mask = fuzz_mask(f, params, units, &must);
    const mtf_status status =
        mtf_model_set_frozen(f->model, mask.params, mask.n_params, mask.units, mask.n_units, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        memcpy(f->frozen, params, sizeof f->frozen);
        memcpy(f->frozen_units, units, sizeof f->frozen_units);
        fuzz_close(f);
        fuzz_raised(f);
    }
}

static inline void fuzz_call_set_precision(fuzz *f)
{
    uint8_t precision[FUZZ_MAX_PARAMS];
    mtf_error err = {MTF_OK, ""};
    size_t n = mtf_model_n_params(f->model);
    fuzz_must must = FUZZ_OK;
    for (size_t i = 0; i < FUZZ_MAX_PARAMS; i++) {
        precision[i] = (uint8_t)fuzz_below(f, MTF_N_PRECISIONS);
    }
    if (fuzz_once_in(f, 8)) {
        precision[n - 1] = fuzz_once_in(f, 2) ? MTF_N_PRECISIONS : UINT8_MAX;
        must = FUZZ_REFUSED;
    } else if (fuzz_once_in(f, 8)) {
        n = fuzz_once_in(f, 2) ? 0 : SIZE_MAX;
        must = FUZZ_REFUSED;
    }
    const mtf_status status = mtf_model_set_precision(f->model, precision, n, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        memcpy(f->precision, precision, sizeof f->precision);
        fuzz_close(f);
        fuzz_raised(f);
    }
}

/* A number of values that is mostly that of the parameter. */
static inline size_t fuzz_size(fuzz *f, const mtf_param_info *info, fuzz_must *must)
{
    if (fuzz_once_in(f, 12)) {
        *must = FUZZ_REFUSED;
        return fuzz_once_in(f, 2) ? (size_t)info->size - 1 : SIZE_MAX;
    }
    return (size_t)info->size;
}

static inline void fuzz_call_set_param(fuzz *f)
{
    mtf_param_info info;
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    const size_t index = fuzz_param(f, &info, &must);
    mtf_real *values = fuzz_param_values(f, (size_t)info.size);
    const size_t n = fuzz_size(f, &info, &must);
    const mtf_status status = mtf_model_set_param(f->model, index, values, n, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        if (memcmp(info.data, values, n * sizeof *values) != 0) {
            fuzz_fail(f, "%s has other values than were set", info.key);
        }
        fuzz_take_values(f, index, &info);
        fuzz_stop_waiting(f);
        fuzz_raised(f);
    }
    free(values);
}

static inline void fuzz_call_set_state(fuzz *f)
{
    static const int64_t steps[] = {0, 1, 1000, MTF_MAX_COUNT - 1, MTF_MAX_COUNT};
    mtf_param_info info;
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    const size_t index = fuzz_param(f, &info, &must);
    mtf_real *moment1 = fuzz_param_values(f, (size_t)info.size);
    mtf_real *moment2 = fuzz_param_values(f, (size_t)info.size);
    const size_t n = fuzz_size(f, &info, &must);
    int64_t n_steps = steps[fuzz_below(f, 5)];
    must = info.frozen ? FUZZ_REFUSED : must;
    if (fuzz_once_in(f, 6)) {
        f->wild = 1; /* negative ones, which steps do not leave behind */
    } else {
        for (int64_t i = 0; i < info.size; i++) {
            moment2[i] *= moment2[i];
        }
    }
    if (fuzz_once_in(f, 8)) {
        n_steps = fuzz_bad_count(f);
        must = FUZZ_REFUSED;
    }
    fuzz_may_fail(f);
    fuzz_expect(f, mtf_train_set_state(f->model, index, moment1, moment2, n, n_steps, &err), &err,
                must);
    free(moment1);
    free(moment2);
}

static inline void fuzz_call_set_gradient(fuzz *f)
{
    mtf_param_info info;
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = f->open ? FUZZ_OK : FUZZ_REFUSED;
    const size_t index = fuzz_param(f, &info, &must);
    mtf_real *values = fuzz_param_values(f, (size_t)info.size);
    const size_t n = fuzz_size(f, &info, &must);
    must = info.frozen ? FUZZ_REFUSED : must;
    fuzz_may_fail(f);
    const mtf_status status = mtf_train_set_gradient(f->model, index, values, n, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK &&
        memcmp(mtf_train_get_gradient(f->model, index), values, n * sizeof *values) != 0) {
        fuzz_fail(f, "the gradient of %s is another", info.key);
    }
    free(values);
}

/* ---- heads ------------------------------------------------------------------------------------- */

static inline void fuzz_call_add_head(fuzz *f)
{
    static const char *const taken[] = {"pooled", "hidden", "", "hidden_states.0"};
    fuzz_head head = {.token = (int)fuzz_below(f, 2), .hidden = (int)fuzz_below(f, 2) * 5};
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    const char *kind = fuzz_kind(&head);
    (void)snprintf(head.name, sizeof head.name, "head%d", f->n_named);
    if (f->n_heads == FUZZ_MAX_HEADS || fuzz_once_in(f, 5)) {
        must = FUZZ_REFUSED;
        const int64_t which = fuzz_below(f, 5);
        if (which < 4) {
            (void)snprintf(head.name, sizeof head.name, "%s", taken[which]);
        } else {
            kind = "poetry";
        }
    }
    fuzz_may_fail(f);
    const size_t first = mtf_model_n_params(f->model), unit = mtf_model_n_units(f->model);
    const mtf_status status = fuzz_add_head(f->model, &head, kind, &err);
    fuzz_expect(f, status, &err, must);
    if (status == MTF_OK) {
        f->heads[f->n_heads++] = head;
        f->n_named++;
        for (size_t i = first; i < mtf_model_n_params(f->model); i++) {
            f->frozen[i] = f->precision[i] = 0;
        }
        f->frozen_units[unit] = 0;
        fuzz_close(f);
        fuzz_raised(f);
        fuzz_take_weights(f);
    }
}

/* Moves what stands behind `n` bytes at `first` down to there. */
static inline void fuzz_cut(uint8_t *bytes, size_t size, int32_t first, int32_t n)
{
    memmove(bytes + first, bytes + first + n, size - (size_t)(first + n));
}

static inline void fuzz_call_remove_head(fuzz *f)
{
    mtf_error err = {MTF_OK, ""};
    mtf_unit_info unit = {0};
    int32_t u = 0;
    if (f->n_heads == 0 || fuzz_once_in(f, 4)) {
        static const char *const none[] = {"nobody", "", "pooled", "backbone.embeddings"};
        fuzz_expect(f, mtf_model_remove_head(f->model, none[fuzz_below(f, 4)], &err), &err,
                    FUZZ_REFUSED);
        return;
    }
    const int64_t which = fuzz_below(f, f->n_heads);
    for (; (size_t)u < mtf_model_n_units(f->model); u++) {
        mtf_model_get_unit(f->model, (size_t)u, &unit);
        if (strcmp(unit.path, f->heads[which].name) == 0) {
            break;
        }
    }
    fuzz_may_fail(f);
    const mtf_status status = mtf_model_remove_head(f->model, f->heads[which].name, &err);
    fuzz_expect(f, status, &err, FUZZ_OK);
    if (status == MTF_OK) {
        fuzz_cut(f->frozen, sizeof f->frozen, unit.first_param, unit.n_params);
        fuzz_cut(f->precision, sizeof f->precision, unit.first_param, unit.n_params);
        fuzz_cut(f->frozen_units, sizeof f->frozen_units, u, 1);
        memmove(&f->heads[which], &f->heads[which + 1],
                (size_t)(--f->n_heads - which) * sizeof f->heads[0]);
        fuzz_close(f);
        fuzz_raised(f);
        fuzz_take_weights(f);
    }
}

static inline void fuzz_release(fuzz_held *held)
{
    mtf_values_release(held->values);
    free(held->copy);
    *held = (fuzz_held){0};
}

/* Holds the values of a parameter, so that they outlive its head, and the model. */
static inline void fuzz_call_hold(fuzz *f)
{
    fuzz_held *held = &f->held[fuzz_below(f, FUZZ_MAX_HELD)];
    mtf_param_info info;
    const size_t index = (size_t)fuzz_below(f, (int64_t)mtf_model_n_params(f->model));
    mtf_model_get_param(f->model, index, &info);
    fuzz_release(held);
    *held = (fuzz_held){.values = mtf_model_hold_values(f->model, index),
                        .data = info.data,
                        .copy = fuzz_values(f, (size_t)info.size, 0),
                        .n = (size_t)info.size};
    memcpy(held->copy, info.data, held->n * sizeof *held->copy);
}

/* ---- begin, end, and again --------------------------------------------------------------------- */

/* A model of the shape and the heads of `f`. */
static inline void fuzz_build(fuzz *f)
{
    mtf_config *config = NULL;
    mtf_error err = {MTF_OK, ""};
    if (fuzz_config(f, &config) != MTF_OK || mtf_model_new(config, &f->model, &err) != MTF_OK) {
        fprintf(stderr, "no model: %s\n", err.text);
        abort();
    }
    mtf_config_free(config);
    for (int i = 0; i < f->n_heads; i++) {
        if (fuzz_add_head(f->model, &f->heads[i], fuzz_kind(&f->heads[i]), &err) != MTF_OK) {
            fprintf(stderr, "no head: %s\n", err.text);
            abort();
        }
    }
}

static inline void fuzz_begin(fuzz *f)
{
    static const char *const poolings[] = {"mean", "cls", "pooler"};
    mtf_error err = {MTF_OK, ""};
    f->call = "begin";
    f->shape = &fuzz_shapes[fuzz_below(f, 3)];
    f->pooling = poolings[fuzz_below(f, 3)];
    f->dropout = fuzz_once_in(f, 2) ? 0.1 : 0;
    f->normalize = (int)fuzz_below(f, 2);
    f->n_heads = f->n_named = 2;
    f->heads[0] = (fuzz_head){"first", 0, 5};
    f->heads[1] = (fuzz_head){"second", 1, 0};
    fuzz_build(f);
    for (size_t i = 0; i < mtf_model_n_params(f->model); i++) {
        mtf_param_info info;
        mtf_model_get_param(f->model, i, &info);
        mtf_real *values = fuzz_values(f, (size_t)info.size, f->shape->width > 100 ? 0.1 : 0.5);
        fuzz_expect(f, mtf_model_set_param(f->model, i, values, (size_t)info.size, &err), &err,
                    FUZZ_OK);
        free(values);
    }
    fuzz_take_weights(f);
    f->version = mtf_model_version(f->model);
}

static inline void fuzz_end(fuzz *f)
{
    for (size_t i = 0; i < FUZZ_MAX_PARAMS; i++) {
        free(f->weights[i]);
    }
    mtf_model_free(f->model);
    fuzz_batch_free(f->waiting);
    for (int i = 0; i < FUZZ_MAX_HELD; i++) { /* they outlive the model */
        if (f->held[i].values != NULL &&
            memcmp(f->held[i].data, f->held[i].copy, f->held[i].n * sizeof(mtf_real)) != 0) {
            fuzz_fail(f, "held values changed with the end of the model");
        }
        fuzz_release(&f->held[i]);
    }
}

/* Makes `twin` a fresh model with the weights, freeze state, precisions and moments of `f`. */
static inline void fuzz_twin(fuzz *twin, const fuzz *f)
{
    mtf_error err = {MTF_OK, ""};
    twin->shape = f->shape;
    twin->pooling = f->pooling;
    twin->dropout = f->dropout;
    twin->normalize = f->normalize;
    twin->n_heads = f->n_heads;
    memcpy(twin->heads, f->heads, sizeof f->heads);
    fuzz_build(twin);
    const size_t n = mtf_model_n_params(f->model);
    fuzz_expect(twin,
                mtf_model_set_frozen(twin->model, f->frozen, n, f->frozen_units,
                                     mtf_model_n_units(f->model), &err),
                &err, FUZZ_OK);
    fuzz_expect(twin, mtf_model_set_precision(twin->model, f->precision, n, &err), &err, FUZZ_OK);
    for (size_t i = 0; i < n; i++) {
        mtf_param_info info;
        const mtf_real *moment1, *moment2;
        int64_t n_steps;
        mtf_model_get_param(twin->model, i, &info);
        const size_t size = (size_t)info.size;
        fuzz_expect(twin, mtf_model_set_param(twin->model, i, f->weights[i], size, &err), &err,
                    FUZZ_OK);
        mtf_train_get_state(f->model, i, &moment1, &moment2, &n_steps);
        if (moment1 != NULL && moment2 != NULL) {
            fuzz_expect(twin,
                        mtf_train_set_state(twin->model, i, moment1, moment2, size, n_steps, &err),
                        &err, FUZZ_OK);
        }
    }
}

typedef struct fuzz_bytes {
    unsigned char *data; /* (n) */
    size_t n;
} fuzz_bytes;

static inline void fuzz_append(fuzz_bytes *bytes, const void *from, size_t n)
{
    bytes->data = realloc(bytes->data, bytes->n + n + 1);
    if (bytes->data == NULL) {
        abort();
    }
    memcpy(bytes->data + bytes->n, from, n);
    bytes->n += n;
}

/* One step with the losses of all heads, to the weights after it. */
static inline void fuzz_step(fuzz *f, const fuzz_batch *b, fuzz_bytes *bytes)
{
    double rates[FUZZ_MAX_PARAMS], decays[FUZZ_MAX_PARAMS], means[FUZZ_MAX_HEADS] = {0};
    int32_t labels[FUZZ_MAX_TOKENS];
    mtf_loss losses[FUZZ_MAX_HEADS];
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    mtf_train_options options = fuzz_options(f, &must);
    options.precision = options.precision == MTF_PRECISION_BF16 ? options.precision : 0;
    for (int i = 0; i < FUZZ_MAX_TOKENS; i++) {
        labels[i] = (int32_t)fuzz_below(f, FUZZ_LABELS);
    }
    for (int i = 0; i < f->n_heads; i++) {
        losses[i] = (mtf_loss){.output = f->heads[i].name, .targets = labels, .weight = 0.5};
    }
    for (int i = 0; i < FUZZ_MAX_PARAMS; i++) {
        rates[i] = 1e-3;
        decays[i] = 0.01;
    }
    mtf_status status = mtf_train_gradients(f->model, &b->batch, (size_t)f->n_heads, losses, 0,
                                            NULL, 20, &options, means, NULL, &err);
    fuzz_append(bytes, &status, sizeof status);
    fuzz_append(bytes, means, sizeof means);
    if (status == MTF_OK) {
        const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
        mtf_update_result result;
        status = mtf_train_apply(f->model, &update, &result, &err);
        fuzz_append(bytes, &status, sizeof status);
    }
    for (size_t i = 0; i < mtf_model_n_params(f->model); i++) {
        mtf_param_info info;
        mtf_model_get_param(f->model, i, &info);
        if (f->weights[i] != NULL) { /* a fresh model has no shadow */
            fuzz_take_values(f, i, &info);
        }
        fuzz_append(bytes, info.key, strlen(info.key));
        fuzz_append(bytes, info.data, (size_t)info.size * sizeof *info.data);
    }
}

/* What a model computes: all outputs in some precision, a step, and the outputs again. */
static inline void fuzz_results(fuzz *f, fuzz_bytes *bytes)
{
    mtf_error err = {MTF_OK, ""};
    fuzz_must must = FUZZ_OK;
    fuzz_batch *b = fuzz_batch_new(f);
    while (b->must != FUZZ_OK) {
        fuzz_batch_free(b);
        b = fuzz_batch_new(f);
    }
    fuzz_stop_waiting(f);
    for (int turn = 0; turn < 2; turn++) {
        int precision = fuzz_precision(f, 0, &must);
        precision = must == FUZZ_OK ? precision : MTF_AS_FROZEN;
        for (size_t i = 0; i < mtf_model_n_outputs(f->model); i++) {
            mtf_output_info info;
            mtf_model_get_output(f->model, i, &info);
            const size_t n = fuzz_output_size(f, b, info.name);
            mtf_output output = {info.name, fuzz_values(f, n, 1)};
            fuzz_expect(f, mtf_model_forward(f->model, &b->batch, 1, &output, precision, &err),
                        &err, FUZZ_OK);
            fuzz_append(bytes, output.data, n * sizeof *output.data);
            free(output.data);
        }
        fuzz_step(f, b, bytes);
    }
    fuzz_batch_free(b);
}

#endif
