/* batch.c: checking a caller's batch once, so that nothing below has to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include "../base/status.h"

#include <string.h>

static const int64_t *find_offsets(const mtf_batch *batch, const char *space)
{
    for (size_t i = 0; i < batch->n_spaces; i++) {
        if (strcmp(batch->spaces[i].space, space) == 0) {
            return batch->spaces[i].offsets;
        }
    }
    return NULL;
}

static mtf_status check_offsets(const mtf_space_def *space, const int64_t *offsets, int64_t n,
                                mtf_error *err)
{
    if (offsets == NULL) {
        return mtf_fail(err, MTF_ERR_VALUE, "the batch has no offsets for its %s", space->name);
    }
    if (offsets[0] != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE, "offsets of the %s must begin with 0, found %lld",
                        space->name, (long long)offsets[0]);
    }
    for (int64_t i = 0; i < n; i++) {
        if (offsets[i + 1] <= offsets[i]) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld is empty or offsets fall: found %lld after %lld; every "
                            "sequence has at least one of the %s",
                            (long long)i, (long long)offsets[i + 1], (long long)offsets[i],
                            space->name);
        }
        int64_t length = offsets[i + 1] - offsets[i];
        if (length > space->max_length) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has %lld %s, the model takes at most %lld; truncate it",
                            (long long)i, (long long)length, space->name,
                            (long long)space->max_length);
        }
    }
    return MTF_OK;
}

static mtf_status check_ids(const mtf_tensor *tensor, const int32_t *ids, int64_t n, mtf_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= tensor->limit) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "\"%s\" has %d at row %lld; the model takes 0..%lld", tensor->name,
                            ids[i], (long long)i, (long long)tensor->limit - 1);
        }
    }
    return MTF_OK;
}

mtf_status mtf_batch_check(const mtf_program *program, const mtf_batch *batch,
                           const int64_t *identity, mtf_view *view, mtf_error *err)
{
    *view = (mtf_view){.n_sequences = batch->n_sequences};
    if (batch->n_sequences < 0) {
        return mtf_fail(err, MTF_ERR_VALUE, "a batch of %lld sequences",
                        (long long)batch->n_sequences);
    }
    view->offsets[0] = identity;
    for (int32_t s = 1; s < program->n_spaces; s++) {
        view->offsets[s] = find_offsets(batch, program->spaces[s].name);
        MTF_TRY(check_offsets(&program->spaces[s], view->offsets[s], batch->n_sequences, err));
    }
    for (int32_t t = 0; t < program->n_tensors && t < MTF_MAX_INPUTS; t++) {
        const mtf_tensor *tensor = &program->tensors[t];
        if (tensor->role != MTF_ROLE_INPUT) {
            continue;
        }
        for (size_t i = 0; i < batch->n_inputs; i++) {
            if (strcmp(batch->inputs[i].name, tensor->name) == 0) {
                view->inputs[t] = batch->inputs[i].data;
            }
        }
        if (view->inputs[t] == NULL && !tensor->optional) {
            return mtf_fail(err, MTF_ERR_VALUE, "the batch lacks the input \"%s\"", tensor->name);
        }
        if (view->inputs[t] != NULL && tensor->is_ids) {
            MTF_TRY(check_ids(tensor, view->inputs[t],
                              view->offsets[tensor->space][batch->n_sequences], err));
        }
    }
    return MTF_OK;
}

mtf_view mtf_view_part(const mtf_program *program, const mtf_view *view, int64_t first, int64_t n)
{
    mtf_view part = *view;
    part.n_sequences = n;
    part.first_sequence = view->first_sequence + first;
    for (int32_t s = 0; s < program->n_spaces; s++) {
        part.offsets[s] = view->offsets[s] + first;
    }
    for (int32_t t = 0; t < program->n_tensors && t < MTF_MAX_INPUTS; t++) {
        if (view->inputs[t] != NULL) {
            const mtf_tensor *tensor = &program->tensors[t];
            size_t size = tensor->is_ids ? sizeof(int32_t) : sizeof(mtf_real);
            int64_t skipped = part.offsets[tensor->space][0] - view->offsets[tensor->space][0];
            part.inputs[t] =
                (const char *)view->inputs[t] + (size_t)skipped * (size_t)tensor->width * size;
        }
    }
    return part;
}

int64_t mtf_view_rows(const mtf_view *view, int32_t space)
{
    return view->offsets[space][view->n_sequences] - view->offsets[space][0];
}

int64_t mtf_view_max_length(const mtf_view *view, int32_t space)
{
    int64_t most = 0;
    for (int64_t i = 0; i < view->n_sequences; i++) {
        int64_t length = view->offsets[space][i + 1] - view->offsets[space][i];
        most = length > most ? length : most;
    }
    return most;
}
