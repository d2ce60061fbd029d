/* outline.c: the parameters that a model would have, named before any memory is taken for them.
 *
 * Whoever reads a model from a file compares these with what the file holds, so that a few bytes of
 * configuration cannot ask for more memory than the file has weights.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/alloc.h"
#include "../base/status.h"
#include "../model/registry.h"
#include "object.h"

#include <string.h>

struct mtf_outline {
    mtf_program *program;
};

mtf_status mtf_outline_new(const mtf_config *config, mtf_outline **out, mtf_error *err)
{
    const mtf_family *family = NULL;
    MTF_TRY(mtf_family_find(config, &family, err));
    mtf_outline *outline = mtf_alloc_zero(sizeof *outline);
    if (outline == NULL) {
        return mtf_fail_memory(err, sizeof *outline);
    }
    outline->program = mtf_program_new();
    mtf_status status = outline->program == NULL
                            ? mtf_fail_memory(err, sizeof *outline->program)
                            : mtf_family_build(family, outline->program, config, err);
    if (status == MTF_OK) {
        status = mtf_program_finish(outline->program, err);
    }
    if (status != MTF_OK) {
        mtf_outline_free(outline);
        return status;
    }
    *out = outline;
    return MTF_OK;
}

mtf_status mtf_outline_add_head(mtf_outline *outline, const char *name, const mtf_config *config,
                                mtf_error *err)
{
    const mtf_head_kind *kind = NULL;
    MTF_TRY(mtf_head_kind_find(config, name, &kind, err));
    MTF_TRY(kind->build(outline->program, name, config, err));
    return mtf_program_finish(outline->program, err);
}

size_t mtf_outline_n_params(const mtf_outline *outline)
{
    return (size_t)outline->program->n_params;
}

void mtf_outline_get_param(const mtf_outline *outline, size_t index, mtf_param_info *info)
{
    const mtf_param_def *def = &outline->program->params[index];
    *info = (mtf_param_info){.key = def->key,
                             .unit = def->unit,
                             .n_dims = def->n_dims,
                             .size = def->size,
                             .decays = def->decays,
                             .in_products = def->in_products,
                             .n_aliases = def->n_aliases,
                             .aliases = (const char *const *)def->aliases};
    memcpy(info->shape, def->shape, sizeof info->shape);
}

void mtf_outline_free(mtf_outline *outline)
{
    if (outline != NULL) {
        mtf_program_free(outline->program);
        mtf_free(outline);
    }
}
