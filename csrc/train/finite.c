/* finite.c: whether an update leaves every weight and moment finite, known before the first is written.
 *
 * Mostly it follows from what is known already. No clipped gradient value is above the clipped norm G,
 * and no value of the new first moment above M, the largest G so far. With these
 *
 *   p' = p (1 - rate decay) - u,   |u| <= step M / eps,   step = rate / correction1
 *
 * is finite when the factor of p is in -1 .. 1 and |u| stays below half a unit in the last place of the
 * largest number; and the second moment is, when G^2 is. Nothing is read for that.
 *
 * Where it does not follow (a huge learning rate, moments from elsewhere), the update is rehearsed: the
 * same kernel runs over copies, piece by piece. With eps 0 a caller asks for the bare formula, in which
 * values without gradient and moments are 0 / 0; that is not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/real.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "state.h"

#include <string.h>

/* Values of a piece that is rehearsed. */
#define PIECE 1024
/* Of a value: the update, and reading it once more. */
#define REHEARSAL_OPERATIONS 20
/* For the roundings of all bounds together. */
#define SLACK 4

static const mtf_real zeros[PIECE];

typedef struct rehearsal {
    mtf_model *model;
    double most_gradient; /* G */
} rehearsal;

/* 1: bounds say that the update of this parameter is finite, or nobody asks. NaN, as of 0 / 0, says
 * nothing. */
static int follows(const mtf_param *param, const mtf_adamw *options, double most_gradient)
{
    const double most =
        SLACK * (param->moment_most > most_gradient ? param->moment_most : most_gradient);
    const double scaled = options->rate / options->correction1 * most;
    const double eps = (double)(mtf_real)options->eps;
    if (!(options->eps > 0)) {
        return 1;
    }
    return options->rate * options->decay <= 2 && most < MTF_REAL_MAX / most &&
           scaled < MTF_REAL_MAX && scaled / eps < MTF_REAL_MAX * MTF_REAL_EPSILON / SLACK;
}

static void copy_or_clear(mtf_real *to, const mtf_real *from, int64_t at, int64_t n)
{
    if (from != NULL) {
        memcpy(to, from + at, (size_t)n * sizeof *to);
    } else {
        memset(to, 0, (size_t)n * sizeof *to);
    }
}

static int all_finite(const mtf_real *values, int64_t n)
{
    int finite = 1;
    for (int64_t i = 0; i < n; i++) {
        finite &= isfinite(values[i]) != 0;
    }
    return finite;
}

/* n values at `at`, n <= PIECE, whose gradients are at `gradient`. */
static int piece_is_finite(const mtf_param *param, int64_t at, int64_t n, const mtf_real *gradient,
                           const mtf_adamw *options)
{
    mtf_real p[PIECE], m[PIECE], v[PIECE];
    copy_or_clear(p, param->data, at, n);
    copy_or_clear(m, param->moment1, at, n);
    copy_or_clear(v, param->moment2, at, n);
    mtf_kernel->adamw(p, m, v, gradient, n, options);
    return all_finite(p, n) && all_finite(m, n) && all_finite(v, n);
}

/* In pieces that do not cross rows where rows are told apart: those without gradient have zeros. */
static void rehearse_chunk(void *context, int64_t item, int worker)
{
    const rehearsal *r = context;
    mtf_model *model = r->model;
    const mtf_chunk *chunk = &model->chunks[item];
    const mtf_param *param = &model->network->params[chunk->param];
    const mtf_adamw *options = &model->updates[chunk->param];
    const mtf_param_def *def = &model->network->program->params[chunk->param];
    const int64_t width = param->rows != NULL ? def->size / def->shape[0] : def->size;
    const int64_t end = chunk->first + chunk->n;
    (void)worker;
    model->partial_sums[item] = 0;
    if (!param->reached || follows(param, options, r->most_gradient)) {
        return;
    }
    int64_t n;
    for (int64_t at = chunk->first; at < end && model->partial_sums[item] == 0; at += n) {
        n = width - at % width;
        n = n < end - at ? n : end - at;
        n = n < PIECE ? n : PIECE;
        const int reached = param->rows == NULL || param->rows[at / width] == MTF_ROW_REACHED;
        model->partial_sums[item] =
            !piece_is_finite(param, at, n, reached ? param->gradient + at : zeros, options);
    }
}

mtf_status mtf_update_check_finite(mtf_model *model, double most_gradient, mtf_error *err)
{
    rehearsal r = {model, most_gradient};
    int64_t n_open = 0; /* values of which bounds do not say it */
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        const mtf_param *param = &model->network->params[i];
        if (param->reached && !follows(param, &model->updates[i], most_gradient)) {
            n_open += model->network->program->params[i].size;
        }
    }
    if (n_open == 0) {
        return MTF_OK;
    }
    mtf_parallel_work(model->n_chunks, REHEARSAL_OPERATIONS * n_open, rehearse_chunk, &r);
    MTF_TRY(mtf_work_check(err));
    for (int64_t i = 0; i < model->n_chunks; i++) {
        if (model->partial_sums[i] != 0) {
            return mtf_fail(err, MTF_ERR_NONFINITE,
                            "the update of \"%s\" is not finite in step %llu; weights are as "
                            "before the step; lower the learning rate or look at the data",
                            model->network->program->params[model->chunks[i].param].key,
                            (unsigned long long)model->session.options.step + 1);
        }
    }
    return MTF_OK;
}
