/* vit.c: ViT encoders from config.json (Dosovitskiy et al. 2021).
 *
 * Positions are interpolated where key "interpolate_positions" is true; else pictures of another size
 * than "image_size" are refused. Parameter keys are the hub's tensor names behind "backbone." (without
 * "vit.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/vision_encoder.h"
#include "families.h"

extern const mtf_family mtf_family_vit;
extern const mtf_family mtf_family_deit;
extern const mtf_family mtf_family_vit_fc_norm;

static const mtf_vision_names names = {.norm1 = "layernorm_before",
                                       .norm2 = "layernorm_after",
                                       .inner = "intermediate.dense",
                                       .outer = "output.dense"};

static mtf_status build_vit(mtf_program *program, const mtf_config *config, int distillation,
                            int mean_norm, mtf_error *err)
{
    mtf_vision_encoder e = {.names = names,
                            .eps = 1e-12,
                            .output_dropout = 1,
                            .distillation = distillation,
                            .mean_norm = mean_norm};
    mtf_pooler pooler = {.part = "dense", .activation = MTF_ACT_TANH};
    MTF_TRY(mtf_vision_read(&e, config, err));
    MTF_TRY(mtf_config_get_int(config, "intermediate_size", 1, MTF_MOST_WIDE, 1, &e.ffn, err));
    MTF_TRY(mtf_config_get_bool(config, "interpolate_positions", &e.interpolates, err));
    MTF_TRY(
        mtf_config_get_int(config, "pooler_output_size", 1, MTF_MOST_WIDE, 0, &pooler.width, err));
    MTF_TRY(mtf_read_activation(config, "pooler_act", &pooler.activation, err));
    return mtf_vision_build(program, &e, &pooler, config, err);
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return build_vit(program, config, 0, 0, err);
}

/* DeiT (Touvron et al. 2021): a second token, which is taught by another model. */
static mtf_status build_deit(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return build_vit(program, config, 1, 0, err);
}

/* A ViT that is pooled by the mean of its patches, as timm has it: there is no norm of the rows, but one
 * of that mean, "fc_norm". */
static mtf_status build_vit_fc_norm(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return build_vit(program, config, 0, 1, err);
}

const mtf_family mtf_family_vit = {"vit", build};
const mtf_family mtf_family_deit = {"deit", build_deit};
const mtf_family mtf_family_vit_fc_norm = {"vit_fc_norm", build_vit_fc_norm};
