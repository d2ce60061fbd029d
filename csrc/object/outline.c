/* outline.c: the parameters that a model would have, named before any memory is taken for them.
 *
 * Whoever reads a model from a file compares these with what the file holds, so that a few bytes of
 * configuration cannot ask for more memory than the file has weights.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/alloc.h"
#include "../base/status.h"
#include "object.h"

#include <string.h>

struct mtf_outline {
    const mtf_family *family;
    mtf_config *config;
    mtf_head *heads;
    int32_t n_heads;
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
    outline->family = family;
    outline->config = mtf_config_copy(config);
    const mtf_status status =
        outline->config == NULL
            ? mtf_fail_memory(err, sizeof(void *))
            : mtf_network_program(family, outline->config, NULL, NULL, 0, &outline->program, err);
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
    mtf_program *program = NULL;
    const size_t size = (size_t)(outline->n_heads + 1) * sizeof *outline->heads;
    mtf_head *heads = mtf_realloc(outline->heads, size);
    if (heads == NULL) {
        return mtf_fail_memory(err, size);
    }
    outline->heads = heads;
    mtf_head *head = &heads[outline->n_heads];
    *head = (mtf_head){.name = mtf_alloc_text(name), .config = mtf_config_copy(config)};
    mtf_status status = head->name == NULL || head->config == NULL
                            ? mtf_fail_memory(err, strlen(name) + 1)
                            : mtf_head_kind_find(head->config, name, &head->kind, err);
    if (status == MTF_OK) {
        status = mtf_network_program(outline->family, outline->config, NULL, heads,
                                     outline->n_heads + 1, &program, err);
    }
    if (status != MTF_OK) {
        mtf_head_clear(head);
        return status;
    }
    mtf_program_free(outline->program);
    outline->program = program;
    outline->n_heads++;
    return MTF_OK;
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
                             .convolves = def->layout == MTF_LAYOUT_TAPS,
                             .is_buffer = def->is_buffer,
                             .moves = def->motion != MTF_STANDS,
                             .n_aliases = def->n_aliases,
                             .aliases = (const char *const *)def->aliases};
    memcpy(info->shape, def->shape, sizeof info->shape);
}

void mtf_outline_free(mtf_outline *outline)
{
    if (outline != NULL) {
        for (int32_t i = 0; i < outline->n_heads; i++) {
            mtf_head_clear(&outline->heads[i]);
        }
        mtf_free(outline->heads);
        mtf_program_free(outline->program);
        mtf_config_free(outline->config);
        mtf_free(outline);
    }
}
