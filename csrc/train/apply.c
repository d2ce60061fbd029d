/* apply.c: clipping by the global norm, then AdamW, over every trainable tensor that was reached.
 *
 *   clip = min(1, max_grad_norm / (norm + 1e-6))      as torch.nn.utils.clip_grad_norm_
 *   AdamW (Loshchilov, Hutter 2019) with bias correction by the tensor's own step count
 *
 * Then the statistics that the step found move those that are stored (statistics.c).
 * Everything that can fail is done before the first weight changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "../base/threads.h"
#include "state.h"

#include <math.h>

#define CLIP_EPS 1e-6
/* Of AdamW, for one value. */
#define UPDATE_OPERATIONS 16
/* Values that a call on rows without gradient covers at most. */
#define ZERO_VALUES 1024

static const mtf_real zeros[ZERO_VALUES];

/* Values of the row at `at`, or of what is left of it before `end`. */
static int64_t row_values(int64_t at, int64_t end, int64_t width)
{
    const int64_t n = width - at % width;
    return n < end - at ? n : end - at;
}

/* Row by row, rows without gradient left out: the same sum whether or not they are known as such. */
static double sum_rows(const mtf_param *param, const mtf_chunk *chunk, int64_t width)
{
    const int64_t end = chunk->first + chunk->n;
    double total = 0;
    int64_t n;
    for (int64_t at = chunk->first; at < end; at += n) {
        n = row_values(at, end, width);
        if (param->rows[at / width] == MTF_ROW_REACHED) {
            total += mtf_kernel->sum_squares(param->gradient + at, n);
        }
    }
    return total;
}

/* AdamW on n values at `at` whose gradients are zero. */
static void update_still(const mtf_param *param, int64_t at, int64_t n, const mtf_adamw *options)
{
    for (int64_t i = 0; i < n; i += ZERO_VALUES) {
        const int64_t part = n - i < ZERO_VALUES ? n - i : ZERO_VALUES;
        mtf_kernel->adamw(param->data + at + i, param->moment1 + at + i, param->moment2 + at + i,
                          zeros, part, options);
    }
}

/* The same where the moments are zero, too; what is left is the decay of values (n). */
static void decay_values(mtf_real *values, int64_t n, const mtf_adamw *options)
{
    const mtf_real shrink = (mtf_real)(1 - options->rate * options->decay);
    for (int64_t i = 0; shrink != 1 && i < n; i++) {
        values[i] *= shrink;
    }
}

static void update_rows(const mtf_param *param, const mtf_chunk *chunk, int64_t width,
                        const mtf_adamw *options)
{
    const int64_t end = chunk->first + chunk->n;
    int64_t n;
    for (int64_t at = chunk->first; at < end; at += n) {
        const int state = param->rows[at / width];
        n = row_values(at, end, width);
        if (state == MTF_ROW_REACHED) {
            mtf_kernel->adamw(param->data + at, param->moment1 + at, param->moment2 + at,
                              param->gradient + at, n, options);
        } else if (state == MTF_ROW_MOVED || !(options->eps > 0)) { /* 0 / (0 + 0) is not 0 */
            update_still(param, at, n, options);
        } else {
            decay_values(param->data + at, n, options);
        }
    }
}

static int64_t row_width(const mtf_model *model, int32_t param)
{
    const mtf_param_def *def = &model->network->program->params[param];
    return def->size / def->shape[0];
}

static void sum_chunk(void *context, int64_t item, int worker)
{
    mtf_model *model = context;
    (void)worker;
    const mtf_chunk *chunk = &model->chunks[item];
    const mtf_param *param = &model->network->params[chunk->param];
    if (!param->reached) {
        model->partial_sums[item] = 0;
    } else if (param->rows != NULL) {
        model->partial_sums[item] = sum_rows(param, chunk, row_width(model, chunk->param));
    } else {
        model->partial_sums[item] =
            mtf_kernel->sum_squares(param->gradient + chunk->first, chunk->n);
    }
}

static void update_chunk(void *context, int64_t item, int worker)
{
    mtf_model *model = context;
    (void)worker;
    const mtf_chunk *chunk = &model->chunks[item];
    const mtf_param *param = &model->network->params[chunk->param];
    const mtf_adamw *options = &model->updates[chunk->param];
    if (!param->reached) {
        return;
    }
    if (param->rows != NULL) {
        update_rows(param, chunk, row_width(model, chunk->param), options);
    } else {
        mtf_kernel->adamw(param->data + chunk->first, param->moment1 + chunk->first,
                          param->moment2 + chunk->first, param->gradient + chunk->first, chunk->n,
                          options);
    }
}

/* Sum of squares over all reached tensors; a non-finite one is an error that names it. */
static mtf_status global_norm(mtf_model *model, double *norm, mtf_error *err)
{
    double total = 0;
    mtf_parallel_work(model->n_chunks, 2 * model->n_chunk_values, sum_chunk, model);
    MTF_TRY(mtf_work_check(err));
    for (int64_t i = 0; i < model->n_chunks; i++) {
        if (!isfinite(model->partial_sums[i])) {
            return mtf_fail(err, MTF_ERR_NONFINITE,
                            "the gradient of \"%s\" is not finite in step %llu; weights are as "
                            "before the step; lower the learning rate or look at the data",
                            model->network->program->params[model->chunks[i].param].key,
                            (unsigned long long)model->session.options.step + 1);
        }
        total += model->partial_sums[i];
    }
    *norm = sqrt(total);
    return MTF_OK;
}

static mtf_status check_update(const mtf_model *model, const mtf_update *update, mtf_error *err)
{
    if (!(update->beta1 >= 0 && update->beta1 < 1 && update->beta2 >= 0 && update->beta2 < 1 &&
          update->eps >= 0 && isfinite(update->eps))) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "AdamW needs 0 <= beta < 1 and eps >= 0, found beta1 %g, beta2 %g, eps %g",
                        update->beta1, update->beta2, update->eps);
    }
    if (isnan(update->max_grad_norm)) {
        return mtf_fail(err, MTF_ERR_VALUE, "max_grad_norm is not a number");
    }
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        const double rate = update->learning_rate[i], decay = update->weight_decay[i];
        if (model->network->params[i].reached &&
            !(isfinite(rate) && rate >= 0 && isfinite(decay) && decay >= 0)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "\"%s\" needs a learning rate and a weight decay of at least 0, found "
                            "%g and %g",
                            model->network->program->params[i].key, rate, decay);
        }
    }
    return MTF_OK;
}

static void set_updates(mtf_model *model, const mtf_update *update, double clip)
{
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        const mtf_param *param = &model->network->params[i];
        if (!param->reached) {
            continue;
        }
        const double t = (double)(param->n_steps + 1);
        model->updates[i] = (mtf_adamw){.rate = update->learning_rate[i],
                                        .decay = update->weight_decay[i],
                                        .beta1 = update->beta1,
                                        .beta2 = update->beta2,
                                        .eps = update->eps,
                                        .correction1 = 1 - pow(update->beta1, t),
                                        .correction2 = 1 - pow(update->beta2, t),
                                        .grad_scale = clip};
    }
}

static mtf_status apply(mtf_model *model, const mtf_update *update, mtf_update_result *result,
                        mtf_error *err)
{
    double norm = 0, clip = 1;
    if (!model->session.open) {
        return mtf_fail(err, MTF_ERR_STATE,
                        "no step is under way; compute gradients before they "
                        "are applied");
    }
    MTF_TRY(check_update(model, update, err));
    MTF_TRY(global_norm(model, &norm, err));
    if (update->max_grad_norm > 0) {
        clip = update->max_grad_norm / (norm + CLIP_EPS);
        clip = clip < 1 ? clip : 1;
    }
    set_updates(model, update, clip);
    MTF_TRY(mtf_update_check_finite(model, norm * clip, err));
    MTF_TRY(mtf_statistics_check(model, err));
    mtf_work_commit();
    MTF_TRY(mtf_state_moments(model, err));
    mtf_parallel_work(model->n_chunks, UPDATE_OPERATIONS * model->n_chunk_values, update_chunk,
                      model);
    mtf_statistics_move(model);
    *result = (mtf_update_result){.grad_norm = norm, .clip = clip};
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        mtf_param *param = &model->network->params[i];
        if (param->reached) {
            param->moment_most =
                norm * clip > param->moment_most ? norm * clip : param->moment_most;
            param->n_steps += param->n_steps < MTF_MAX_COUNT; /* what could be set again */
            param->handle.version++;
            param->reached = 0;
            result->n_stepped++;
        }
    }
    mtf_object_close_session(model);
    return MTF_OK;
}

mtf_status mtf_train_apply(mtf_model *model, const mtf_update *update, mtf_update_result *result,
                           mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_train_close(&work, model, apply(model, update, result, err), err);
}
