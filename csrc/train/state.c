/* state.c: gradients, moments and step counts of what trains; readable and settable from outside.
 *
 * A parameter has them only while it trains: freezing frees them, so unfreezing begins at zero.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <math.h>
#include <string.h>

/* Fixed cut of tensors for norm and update: a shape's sums are the same at any thread count. */
#define CHUNK_VALUES 65536

static int64_t param_size(const mtf_model *model, int32_t i)
{
    return model->network->program->params[i].size;
}

static mtf_status reserve_values(mtf_real **block, int64_t n, int zero, mtf_error *err)
{
    if (*block != NULL) {
        return MTF_OK;
    }
    size_t bytes = (size_t)n * sizeof **block;
    *block = zero ? mtf_alloc_zero(bytes) : mtf_alloc(bytes);
    return *block != NULL ? MTF_OK : mtf_fail_memory(err, bytes);
}

/* States of the rows of a table that an operation reaches by rows. */
static mtf_status reserve_rows(mtf_param *param, int64_t n_rows, mtf_error *err)
{
    if (param->rows != NULL) {
        return MTF_OK;
    }
    param->rows = mtf_alloc((size_t)n_rows);
    if (param->rows == NULL) {
        return mtf_fail_memory(err, (size_t)n_rows);
    }
    int state = param->moment1 != NULL ? MTF_ROW_MOVED : MTF_ROW_NEVER;
    memset(param->rows, param->gradient != NULL ? MTF_ROW_REACHED : state, (size_t)n_rows);
    return MTF_OK;
}

mtf_status mtf_state_gradients(mtf_model *model, const mtf_plan *plan, mtf_error *err)
{
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
            if (step->need.dw & (1u << k)) {
                const mtf_node *node = &plan->program->nodes[step->node];
                const int32_t p = node->weight[k];
                mtf_param *param = &model->network->params[p];
                const int by_rows = (node->op->by_rows >> k & 1u) != 0;
                if (by_rows) {
                    MTF_TRY(reserve_rows(param, plan->program->params[p].shape[0], err));
                }
                MTF_TRY(reserve_values(&param->gradient, param_size(model, p), by_rows, err));
            }
        }
    }
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_node *node = &plan->program->nodes[plan->forward[i].node];
        for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
            if (node->op->moves >> k & 1u) {
                const int32_t p = node->weight[k];
                MTF_TRY(
                    reserve_values(&model->network->params[p].found, param_size(model, p), 0, err));
            }
        }
    }
    return MTF_OK;
}

mtf_status mtf_state_moments(mtf_model *model, mtf_error *err)
{
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        mtf_param *param = &model->network->params[i];
        if (param->reached) {
            MTF_TRY(reserve_values(&param->moment1, param_size(model, i), 1, err));
            MTF_TRY(reserve_values(&param->moment2, param_size(model, i), 1, err));
        }
    }
    return MTF_OK;
}

mtf_status mtf_state_chunks(mtf_model *model, mtf_error *err)
{
    if (model->chunks_valid) {
        return MTF_OK;
    }
    const int32_t n_params = model->network->program->n_params;
    int64_t n = 0;
    for (int32_t i = 0; i < n_params; i++) {
        if (!model->network->params[i].frozen) {
            n += (param_size(model, i) + CHUNK_VALUES - 1) / CHUNK_VALUES;
        }
    }
    mtf_free(model->chunks);
    mtf_free(model->partial_sums);
    mtf_free(model->updates);
    model->chunks = mtf_alloc_array((size_t)n + 1, sizeof *model->chunks);
    model->partial_sums = mtf_alloc_array((size_t)n + 1, sizeof *model->partial_sums);
    model->updates = mtf_alloc_array((size_t)n_params, sizeof *model->updates);
    if (model->chunks == NULL || model->partial_sums == NULL || model->updates == NULL) {
        return mtf_fail_memory(err, (size_t)n * sizeof *model->chunks);
    }
    model->n_chunks = 0;
    model->n_chunk_values = 0;
    for (int32_t i = 0; i < n_params; i++) {
        const int64_t size = param_size(model, i);
        model->n_chunk_values += model->network->params[i].frozen ? 0 : size;
        for (int64_t at = 0; !model->network->params[i].frozen && at < size; at += CHUNK_VALUES) {
            int64_t left = size - at;
            model->chunks[model->n_chunks++] =
                (mtf_chunk){i, at, left < CHUNK_VALUES ? left : CHUNK_VALUES};
        }
    }
    model->chunks_valid = 1;
    return MTF_OK;
}

/* A parameter that trains and has n values; NULL with a message otherwise. */
static mtf_param *trainable(mtf_model *model, size_t index, size_t n, mtf_error *err,
                            mtf_status *status)
{
    *status = MTF_OK;
    if (index >= mtf_model_n_params(model)) {
        *status = mtf_fail(err, MTF_ERR_NAME, "there is no parameter %zu", index);
        return NULL;
    }
    const mtf_param_def *def = &model->network->program->params[index];
    if (model->network->params[index].frozen) {
        *status = mtf_fail(err, MTF_ERR_STATE,
                           "parameter \"%s\" is frozen: it has no gradient and no state; unfreeze "
                           "it first",
                           def->key);
        return NULL;
    }
    if ((int64_t)n != def->size) {
        *status = mtf_fail(err, MTF_ERR_SHAPE, "parameter \"%s\" has %lld values, found %zu",
                           def->key, (long long)def->size, n);
        return NULL;
    }
    return &model->network->params[index];
}

/* The largest first moment; infinite where a moment is none that steps leave behind. */
static double most_moment(const mtf_real *moment1, const mtf_real *moment2, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)moment1[i]);
        if (!isfinite(size) || !(moment2[i] >= 0) || !isfinite(moment2[i])) {
            return INFINITY;
        }
        most = size > most ? size : most;
    }
    return most;
}

const mtf_real *mtf_train_get_gradient(const mtf_model *model, size_t index)
{
    const mtf_param *param = &model->network->params[index];
    return param->reached ? param->gradient : NULL;
}

mtf_status mtf_train_set_gradient(mtf_model *model, size_t index, const mtf_real *values, size_t n,
                                  mtf_error *err)
{
    mtf_status status;
    mtf_param *param = trainable(model, index, n, err, &status);
    if (param == NULL) {
        return status;
    }
    if (!model->session.open) {
        return mtf_fail(err, MTF_ERR_STATE,
                        "no step is under way; begin one before a gradient is "
                        "set");
    }
    MTF_TRY(reserve_values(&param->gradient, (int64_t)n, 0, err));
    memcpy(param->gradient, values, n * sizeof *values);
    mtf_network_reach_rows(model->network, index);
    param->reached = 1;
    return MTF_OK;
}

void mtf_train_get_state(const mtf_model *model, size_t index, const mtf_real **moment1,
                         const mtf_real **moment2, int64_t *n_steps)
{
    const mtf_param *param = &model->network->params[index];
    *moment1 = param->moment1;
    *moment2 = param->moment2;
    *n_steps = param->n_steps;
}

mtf_status mtf_train_set_state(mtf_model *model, size_t index, const mtf_real *moment1,
                               const mtf_real *moment2, size_t n, int64_t n_steps, mtf_error *err)
{
    mtf_status status;
    mtf_param *param = trainable(model, index, n, err, &status);
    if (param == NULL) {
        return status;
    }
    if (n_steps < 0 || n_steps > MTF_MAX_COUNT) {
        return mtf_fail(err, MTF_ERR_VALUE, "a step count must be from 0 to %lld, found %lld",
                        (long long)MTF_MAX_COUNT, (long long)n_steps);
    }
    MTF_TRY(reserve_values(&param->moment1, (int64_t)n, 1, err));
    MTF_TRY(reserve_values(&param->moment2, (int64_t)n, 1, err));
    memcpy(param->moment1, moment1, n * sizeof *moment1);
    memcpy(param->moment2, moment2, n * sizeof *moment2);
    param->moment_most = most_moment(moment1, moment2, n);
    /* Whatever gradients stand there count as the last step's. */
    mtf_network_reach_rows(model->network, index);
    param->n_steps = n_steps;
    return MTF_OK;
}

void mtf_train_reset(mtf_model *model)
{
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        mtf_param_drop_state(&model->network->params[i]);
    }
    mtf_object_close_session(model);
    mtf_workspace_clear(&model->workspace);
}
