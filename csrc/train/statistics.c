/* statistics.c: stored statistics of units that train, moved by those of the step's batch.
 *
 *   stored = (1 - momentum) stored + momentum found        as torch.nn.BatchNorm2d has it
 *   counts: one more, as far as whole numbers go
 *
 * Part of the update: a step that is refused, dropped, or asked for its gradients alone moves nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "state.h"

#include <math.h>

static int moves(const mtf_model *model, int32_t p)
{
    return model->session.n_parts > 0 && model->network->params[p].is_found;
}

/* Value number i of a parameter once it is moved. */
static mtf_real moved(const mtf_param_def *def, const mtf_param *param, int64_t i)
{
    const double stored = (double)param->data[i];
    const double found = (double)param->found[i];
    return (mtf_real)(def->motion == MTF_COUNTS
                          ? stored + found
                          : (1 - def->momentum) * stored + def->momentum * found);
}

mtf_status mtf_statistics_check(const mtf_model *model, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    for (int32_t p = 0; p < program->n_params; p++) {
        for (int64_t i = 0; moves(model, p) && i < program->params[p].size; i++) {
            if (!isfinite((double)moved(&program->params[p], &model->network->params[p], i))) {
                return mtf_fail(err, MTF_ERR_NONFINITE,
                                "the statistics \"%s\" are not finite in step %llu; weights are as "
                                "before the step; lower the learning rate or look at the data",
                                program->params[p].key,
                                (unsigned long long)model->session.options.step + 1);
            }
        }
    }
    return MTF_OK;
}

void mtf_statistics_move(mtf_model *model)
{
    const mtf_program *program = model->network->program;
    for (int32_t p = 0; p < program->n_params; p++) {
        mtf_param *param = &model->network->params[p];
        if (!moves(model, p)) {
            continue;
        }
        for (int64_t i = 0; i < program->params[p].size; i++) {
            param->data[i] = moved(&program->params[p], param, i);
        }
        param->handle.version++;
        param->is_found = 0;
    }
}
