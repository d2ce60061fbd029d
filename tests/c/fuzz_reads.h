/* fuzz_reads.h: the calls of the fuzzer of the core that only ask: outputs, plans, prefixes, losses.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_FUZZ_READS_H
#define MTF_TEST_FUZZ_READS_H

#include "fuzz_calls.h"

static inline int fuzz_precision(fuzz *f, int training, fuzz_must *must)
{
    static const int bad[] = {-2, 3, 15, 19, INT32_MIN, INT32_MAX};
    if (fuzz_once_in(f, 10)) {
        *must = FUZZ_REFUSED;
        return bad[fuzz_below(f, 6)];
    }
    const int kind = (int)fuzz_below(f, training ? 2 : 3);
    return training || fuzz_once_in(f, 3) ? kind
           : fuzz_once_in(f, 2)           ? MTF_UNLESS_FROZEN + kind
                                          : MTF_AS_FROZEN;
}

static inline void fuzz_call_forward(fuzz *f)
{
    const char *names[FUZZ_MAX_WANTED];
    mtf_output outputs[FUZZ_MAX_WANTED];
    mtf_error err = {MTF_OK, ""};
    fuzz_batch *b = fuzz_batch_new(f);
    fuzz_must must = b->must;
    const size_t n = fuzz_names(f, names, &must);
    const int precision = fuzz_precision(f, 0, &must);
    fuzz_outputs(f, b, n, names, outputs);
    fuzz_stop_waiting(f);
    fuzz_may_fail(f);
    const mtf_status status = mtf_model_forward(f->model, &b->batch, n, outputs, precision, &err);
    fuzz_expect(f, status, &err, must);
    for (size_t i = 0; i < n; i++) {
        free(outputs[i].data);
    }
    fuzz_batch_free(b);
}

/* A freeze state to ask about or to set; at times of wrong sizes. */
static inline mtf_freeze_mask fuzz_mask(fuzz *f, uint8_t *params, uint8_t *units, fuzz_must *must)
{
    mtf_freeze_mask mask = {params, mtf_model_n_params(f->model), units,
                            mtf_model_n_units(f->model)};
    const int64_t first =
        fuzz_below(f, (int64_t)mask.n_params + 1); /* trains from there on, mostly */
    for (size_t i = 0; i < FUZZ_MAX_PARAMS; i++) {
        params[i] = fuzz_once_in(f, 20) ? 1 : (int64_t)i < first;
    }
    for (size_t i = 0; i < FUZZ_MAX_UNITS; i++) {
        units[i] = (uint8_t)fuzz_below(f, 2);
    }
    if (fuzz_once_in(f, 12)) {
        mask.n_params = fuzz_once_in(f, 2) ? mask.n_params - 1 : SIZE_MAX;
        *must = FUZZ_REFUSED;
    }
    return mask;
}

/* Of no parameters: the model's own is meant. */
static inline mtf_freeze_mask fuzz_asked_mask(fuzz *f, uint8_t *params, uint8_t *units,
                                              fuzz_must *must)
{
    return fuzz_once_in(f, 2) ? fuzz_mask(f, params, units, must) : (mtf_freeze_mask){0};
}

static inline void fuzz_call_plan(fuzz *f)
{
    uint8_t params[FUZZ_MAX_PARAMS], units[FUZZ_MAX_UNITS];
    const char *names[FUZZ_MAX_WANTED];
    mtf_error err = {MTF_OK, ""};
    mtf_plan_info info;
    mtf_plan_unit priced[FUZZ_MAX_UNITS];
    fuzz_batch *b = fuzz_batch_new(f);
    /* ids are not read */
    fuzz_must must = b->must == FUZZ_REFUSED ? FUZZ_EITHER : b->must;
    mtf_plan_request request = {.training = (int)fuzz_below(f, 2),
                                .outputs = names,
                                .n_sequences = b->batch.n_sequences,
                                .n_spaces = b->batch.n_spaces,
                                .spaces = b->batch.spaces,
                                .n_features = b->batch.n_features,
                                .features = &b->feature.output,
                                .save_bf16 = (int)fuzz_below(f, 2)};
    if (request.n_sequences < 0 || request.n_sequences > MTF_MAX_COUNT) {
        must = FUZZ_REFUSED;
    }
    request.n_outputs = fuzz_names(f, names, &must);
    request.token_budget = request.training ? fuzz_budget(f, &must) : 0;
    request.precision = fuzz_precision(f, request.training, &must);
    const mtf_freeze_mask mask = fuzz_asked_mask(f, params, units, &must);
    request.frozen = mask.params != NULL ? &mask : NULL;
    fuzz_may_fail(f);
    fuzz_expect(f, mtf_model_get_plan(f->model, &request, &info, priced, &err), &err, must);
    fuzz_batch_free(b);
}

static inline void fuzz_call_prefix(fuzz *f)
{
    uint8_t params[FUZZ_MAX_PARAMS], units[FUZZ_MAX_UNITS];
    const char *names[FUZZ_MAX_WANTED], *found[MTF_MAX_FEATURES];
    mtf_error err = {MTF_OK, ""};
    size_t n_found = 0;
    fuzz_must must = FUZZ_OK;
    const size_t n = fuzz_names(f, names, &must);
    const mtf_freeze_mask mask = fuzz_asked_mask(f, params, units, &must);
    fuzz_may_fail(f);
    const mtf_status status =
        mtf_model_get_prefix(f->model, (int)fuzz_below(f, 2), n, names,
                             mask.params != NULL ? &mask : NULL, &n_found, found, &err);
    fuzz_expect(f, status, &err, must);
    for (size_t i = 0; i < n_found; i++) {
        if (fuzz_output_info(f, found[i]).width == 0) {
            fuzz_fail(f, "\"%s\" is no output", found[i]);
        }
    }
}

static inline void fuzz_call_loss(fuzz *f)
{
    mtf_loss_info info;
    mtf_error err = {MTF_OK, ""};
    const char *const kinds[] = {NULL, "mse", "cross_entropy", "none"};
    const int64_t kind = fuzz_below(f, 4);
    const int head = f->n_heads > 0 && fuzz_once_in(f, 2);
    const char *name = head ? f->heads[0].name : "pooled";
    fuzz_expect(f, mtf_model_get_loss(f->model, name, kinds[kind], &info, &err), &err,
                kind == 3 || (kind == 0 && !head) ? FUZZ_REFUSED : FUZZ_OK);
}

#endif
