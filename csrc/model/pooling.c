/* pooling.c: from token rows to one vector a sequence, shared by the encoder families.
 *
 * "mean": mean of all rows; "cls": the first row; "pooler": act(W first + b), the family's own pooler,
 * a unit with parameters. Mean and cls stand in no unit: nothing in them can be frozen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include "../base/status.h"

#include <string.h>

/* sentence-transformers' Normalize: torch.nn.functional.normalize, eps 1e-12. */
#define NORMALIZE_EPS 1e-12

mtf_tensor_id mtf_build_pool(mtf_program *program, const char *label, const char *how,
                             mtf_tensor_id hidden)
{
    if (strcmp(how, "mean") == 0) {
        return mtf_node_mean_pool(program, label, hidden);
    }
    if (strcmp(how, "cls") == 0) {
        return mtf_node_first_pool(program, label, hidden);
    }
    return MTF_NO_TENSOR;
}

const mtf_pooler mtf_bert_pooler = {.part = "dense", .activation = MTF_ACT_TANH};

static mtf_tensor_id build_pooler(mtf_program *program, const mtf_pooler *pooler,
                                  mtf_tensor_id hidden)
{
    const mtf_block block = {
        .program = program, .keys = "backbone.pooler", .label = "backbone.pooler"};
    mtf_program_unit(program, "backbone.pooler", 0);
    mtf_tensor_id first = mtf_node_first_pool(program, "backbone.pooler first", hidden);
    const int64_t width = first != MTF_NO_TENSOR ? program->tensors[first].width : 1;
    mtf_tensor_id pooled = mtf_part_dense(&block, pooler->part, first, width, pooler->activation);
    mtf_program_end_unit(program);
    return pooled;
}

mtf_status mtf_build_pooling(mtf_program *program, const mtf_config *config, mtf_tensor_id hidden,
                             mtf_error *err)
{
    return mtf_build_pooling_with(program, config, hidden, &mtf_bert_pooler, err);
}

mtf_status mtf_build_pooling_with(mtf_program *program, const mtf_config *config,
                                  mtf_tensor_id hidden, const mtf_pooler *pooler, mtf_error *err)
{
    const char *how = "mean";
    int normalize = 0;
    mtf_status status = mtf_config_get_text(config, "pooling", &how, err);
    if (status == MTF_OK) {
        status = mtf_config_get_bool(config, "normalize", &normalize, err);
    }
    if (status != MTF_OK) {
        return status;
    }
    mtf_tensor_id pooled;
    if (strcmp(how, "pooler") == 0 && pooler == NULL) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "pooling is \"pooler\", but models of this family have no pooler; choose "
                        "another pooling");
    }
    if (strcmp(how, "pooler") == 0) {
        pooled = build_pooler(program, pooler, hidden);
    } else if (strcmp(how, "mean") == 0 || strcmp(how, "cls") == 0) {
        pooled = mtf_build_pool(program, "backbone pooling", how, hidden);
    } else {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "pooling must be \"mean\", \"cls\" or \"pooler\", found \"%s\"", how);
    }
    mtf_program_output(program, "pooled", pooled);
    mtf_program_output(
        program, "embedding",
        normalize ? mtf_node_normalize(program, "backbone normalize", pooled, NORMALIZE_EPS)
                  : pooled);
    return mtf_program_finish(program, err);
}
