/* batch.c: checking a caller's batch once, so that nothing below has to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <stdio.h>
#include <string.h>

/* Every row space that the batch names is one of the program's, beside "sequences". */
static mtf_status check_spaces(const mtf_program *program, const mtf_batch *batch, mtf_error *err)
{
    for (size_t i = 0; i < batch->n_spaces; i++) {
        int32_t s = 1;
        while (s < program->n_spaces &&
               strcmp(program->spaces[s].name, batch->spaces[i].space) != 0) {
            s++;
        }
        if (s == program->n_spaces) {
            return mtf_fail(err, MTF_ERR_NAME, "the model has no row space \"%s\" with offsets",
                            batch->spaces[i].space);
        }
    }
    return MTF_OK;
}

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
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the batch has no offsets for its %s; say where each sequence's begin",
                        space->name);
    }
    if (offsets[0] != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE, "offsets of the %s must begin with 0, found %lld",
                        space->name, (long long)offsets[0]);
    }
    for (int64_t i = 0; i < n; i++) {
        if (space->of_heads && offsets[i + 1] < offsets[i]) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "offsets of the %s fall at sequence %lld: found %lld after %lld; a "
                            "sequence without any has the same number twice",
                            space->name, (long long)i, (long long)offsets[i + 1],
                            (long long)offsets[i]);
        }
        if (!space->of_heads && offsets[i + 1] <= offsets[i]) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld is empty or offsets fall: found %lld after %lld; every "
                            "sequence has at least one of the %s",
                            (long long)i, (long long)offsets[i + 1], (long long)offsets[i],
                            space->name);
        }
        int64_t length = offsets[i + 1] - offsets[i];
        if (space->fixed > 0 && length != space->fixed) {
            return mtf_fail(err, MTF_ERR_SHAPE, "sequence %lld has %lld %s; each has %lld",
                            (long long)i, (long long)length, space->name, (long long)space->fixed);
        }
        if (length > space->max_length) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has %lld %s, the model takes at most %lld; truncate it",
                            (long long)i, (long long)length, space->name,
                            (long long)space->max_length);
        }
    }
    if (space->joins_next && n > 0 && offsets[n] > offsets[n - 1]) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "sequence %lld is the last and has one of the %s, which it makes with the "
                        "next one; give both sequences",
                        (long long)n - 1, space->name);
    }
    return MTF_OK;
}

static mtf_status check_ids(const mtf_program *program, mtf_tensor_id input, const int32_t *ids,
                            int64_t n, mtf_error *err)
{
    const mtf_tensor *tensor = &program->tensors[input];
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= tensor->limit) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "\"%s\" has %d at row %lld of the %s; the model takes 0..%lld",
                            tensor->name, ids[i], (long long)i, program->spaces[tensor->space].name,
                            (long long)tensor->limit - 1);
        }
    }
    return MTF_OK;
}

/* Ids that are rows of their sequence in another space stay within it. */
static mtf_status check_rows(const mtf_program *program, mtf_tensor_id input, const mtf_view *view,
                             const int32_t *ids, mtf_error *err)
{
    const mtf_tensor *tensor = &program->tensors[input];
    const int64_t *own = view->offsets[tensor->space], *of = view->offsets[tensor->rows_of];
    for (int64_t s = 0; s < view->n_sequences; s++) {
        for (int64_t row = own[s]; row < own[s + 1]; row++) {
            if (ids[row] < 0 || ids[row] >= of[s + 1] - of[s]) {
                return mtf_fail(
                    err, MTF_ERR_VALUE,
                    "\"%s\" has %d at row %lld, in sequence %lld of %lld %s; it must be "
                    "from 0 to below their number",
                    tensor->name, ids[row], (long long)row, (long long)s,
                    (long long)(of[s + 1] - of[s]), program->spaces[tensor->rows_of].name);
            }
        }
    }
    return MTF_OK;
}

static mtf_status place_inputs(const mtf_program *program, const mtf_batch *batch, mtf_view *view,
                               mtf_error *err)
{
    for (size_t i = 0; i < batch->n_inputs; i++) {
        const mtf_input *input = &batch->inputs[i];
        const mtf_tensor_id t = mtf_program_find_input(program, input->name);
        if (t == MTF_NO_TENSOR) {
            return mtf_fail(err, MTF_ERR_NAME, "the model has no input \"%s\"", input->name);
        }
        view->inputs[t] = input->data;
        const mtf_tensor *tensor = &program->tensors[t];
        if (input->data != NULL && tensor->rows_of != 0) {
            MTF_TRY(check_rows(program, t, view, input->data, err));
        } else if (input->data != NULL && tensor->is_ids) {
            MTF_TRY(check_ids(program, t, input->data,
                              view->offsets[tensor->space][view->n_sequences], err));
        }
    }
    return MTF_OK;
}

static mtf_status place_features(const mtf_program *program, const mtf_batch *batch, mtf_view *view,
                                 mtf_error *err)
{
    if (batch->n_features > MTF_MAX_FEATURES) {
        return mtf_fail(err, MTF_ERR_VALUE, "a batch carries at most %d features, found %zu",
                        MTF_MAX_FEATURES, batch->n_features);
    }
    for (size_t i = 0; i < batch->n_features; i++) {
        const mtf_feature *feature = &batch->features[i];
        const mtf_tensor_id t = mtf_program_find_output(program, feature->output);
        if (t == MTF_NO_TENSOR) {
            return mtf_fail(err, MTF_ERR_NAME, "the model has no output \"%s\" to be given",
                            feature->output);
        }
        view->feature_tensor[view->n_features] = t;
        view->features[view->n_features++] = feature->values;
    }
    return MTF_OK;
}

mtf_status mtf_batch_check(const mtf_program *program, const mtf_batch *batch,
                           const int64_t *identity, const int64_t *none, mtf_view *view,
                           mtf_error *err)
{
    *view = (mtf_view){.n_sequences = batch->n_sequences};
    if (batch->n_sequences < 0 || batch->n_sequences > MTF_MAX_COUNT) {
        return mtf_fail(err, MTF_ERR_VALUE, "a batch of %lld sequences; it must be from 0 to %lld",
                        (long long)batch->n_sequences, (long long)MTF_MAX_COUNT);
    }
    MTF_TRY(check_spaces(program, batch, err));
    view->offsets[0] = identity;
    for (int32_t s = 1; s < program->n_spaces; s++) {
        view->offsets[s] = find_offsets(batch, program->spaces[s].name);
        if (view->offsets[s] == NULL && program->spaces[s].of_heads) {
            view->offsets[s] = none;
        }
        MTF_TRY(check_offsets(&program->spaces[s], view->offsets[s], batch->n_sequences, err));
    }
    MTF_TRY(mtf_view_check_grids(program, batch, view, err));
    MTF_TRY(place_inputs(program, batch, view, err));
    return place_features(program, batch, view, err);
}

mtf_view mtf_view_part(const mtf_program *program, const mtf_view *view, int64_t first, int64_t n)
{
    mtf_view part = *view;
    part.n_sequences = n;
    part.first_sequence = view->first_sequence + first;
    for (int32_t s = 0; s < program->n_spaces; s++) {
        part.offsets[s] = view->offsets[s] + first;
        part.widths[s] = view->widths[s] != NULL ? view->widths[s] + first : NULL;
    }
    for (int32_t t = 0; t < program->n_inputs; t++) {
        if (view->inputs[t] != NULL) {
            const mtf_tensor *tensor = &program->tensors[t];
            size_t size = tensor->is_ids ? sizeof(int32_t) : sizeof(mtf_real);
            int64_t skipped = part.offsets[tensor->space][0] - view->offsets[tensor->space][0];
            part.inputs[t] =
                (const char *)view->inputs[t] + (size_t)skipped * (size_t)tensor->width * size;
        }
    }
    for (int32_t f = 0; f < view->n_features; f++) {
        const mtf_tensor *tensor = &program->tensors[view->feature_tensor[f]];
        part.features[f] +=
            (part.offsets[tensor->space][0] - view->offsets[tensor->space][0]) * tensor->width;
    }
    return part;
}

/* Marks in `reads` (n_tensors) what the plan computes from tensor `input`. */
static void mark_readers(const mtf_plan *plan, mtf_tensor_id input, unsigned char *reads)
{
    reads[input] = 1;
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_step *step = &plan->forward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        int depends = 0;
        for (int k = 0; k < MTF_MAX_IN; k++) {
            depends |= step->in[k] != MTF_NO_TENSOR && reads[step->in[k]];
        }
        for (int o = 0; depends && o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR) {
                reads[node->out[o]] = 1;
            }
        }
    }
}

/* Says what is missing: the input, or the outputs of the frozen prefix that would make it needless. */
static mtf_status fail_missing(const mtf_plan *plan, mtf_tensor_id input, mtf_error *err)
{
    const mtf_program *program = plan->program;
    const char *space = program->spaces[program->tensors[input].space].name;
    char names[256] = "";
    size_t used = 0;
    unsigned char *reads = mtf_alloc_zero((size_t)program->n_tensors);
    if (reads == NULL) {
        return mtf_fail_memory(err, (size_t)program->n_tensors);
    }
    mark_readers(plan, input, reads);
    for (int32_t b = 0; b < plan->n_boundary && used < sizeof names; b++) {
        const char *name = mtf_plan_boundary_name(plan, b);
        if (name != NULL && reads[plan->boundary[b]]) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%s\"",
                                     used > 0 ? ", " : "", name);
        }
    }
    mtf_free(reads);
    if (used == 0) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "each of the batch's %s lacks the input \"%s\"; give it", space,
                        program->tensors[input].name);
    }
    return mtf_fail(err, MTF_ERR_VALUE,
                    "each of the batch's %s lacks the input \"%s\"; give it, or give as features "
                    "what is computed from it: %s (or outputs below)",
                    space, program->tensors[input].name, names);
}

static mtf_status check_least_rows(const mtf_plan *plan, const mtf_view *view, mtf_error *err)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_node *node = &plan->program->nodes[plan->forward[i].node];
        const int64_t rows = mtf_view_rows(view, node->shape.out[0].space);
        if (rows < node->op->least_rows && view->n_sequences > 0) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "%s takes its statistics from the batch and needs at least %lld rows, "
                            "found %lld; take more or larger images a step, or freeze %s",
                            node->label, (long long)node->op->least_rows, (long long)rows,
                            plan->program->units[node->unit].path);
        }
    }
    return MTF_OK;
}

mtf_status mtf_view_bind(const mtf_plan *plan, const mtf_view *view, mtf_error *err)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        for (int k = 0; k < MTF_MAX_IN; k++) {
            const mtf_tensor_id t = plan->forward[i].in[k];
            if (t != MTF_NO_TENSOR && plan->program->tensors[t].role == MTF_ROLE_INPUT &&
                !plan->program->tensors[t].optional && view->inputs[t] == NULL) {
                return fail_missing(plan, t, err);
            }
        }
    }
    MTF_TRY(check_least_rows(plan, view, err));
    return mtf_view_bind_grids(plan, view, err);
}

int64_t mtf_view_cut(const mtf_program *program, const mtf_view *view, int64_t first,
                     int64_t budget)
{
    int64_t whole = 0; /* the last number of sequences that may be cut off */
    int64_t n = 1;
    for (; first + n < view->n_sequences; n++) {
        if (!mtf_view_joined(program, view, first + n)) {
            whole = n;
        }
        for (int32_t s = 0; s < program->n_spaces && whole > 0; s++) {
            const int64_t rows = view->offsets[s][first + n + 1] - view->offsets[s][first];
            const mtf_space_def *space = &program->spaces[s];
            if (rows * space->row_cost / space->rows_per_token > budget) {
                return whole;
            }
        }
    }
    return n;
}

int64_t mtf_plan_cut(const mtf_plan *plan, const mtf_view *view, int64_t first, int64_t budget)
{
    return plan->splits && budget > 0 ? mtf_view_cut(plan->program, view, first, budget)
                                      : view->n_sequences - first;
}

int mtf_view_joined(const mtf_program *program, const mtf_view *view, int64_t sequence)
{
    for (int32_t s = 1; s < program->n_spaces; s++) {
        if (program->spaces[s].joins_next &&
            view->offsets[s][sequence] > view->offsets[s][sequence - 1]) {
            return 1;
        }
    }
    return 0;
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
