/* gte.c: GTE (Zhang et al. 2024), "new" in older files: rotary_encoder.h has the formulas.
 *
 * Parameter keys are the hub's tensor names behind "backbone." (without "new." or "gte.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/rotary_encoder.h"
#include "families.h"

extern const mtf_family mtf_family_gte, mtf_family_new;

static const mtf_rotary_form form = {.word = "word_embeddings",
                                     .type = "token_type_embeddings",
                                     .norm_keys = "backbone.embeddings",
                                     .norm = "LayerNorm",
                                     .layers = "backbone.encoder.layer",
                                     .qkv = "attention.qkv_proj",
                                     .attention_output = "attention.o_proj",
                                     .attention_norm = "attn_ln",
                                     .up = "mlp.up_gate_proj",
                                     .down = "mlp.down_proj",
                                     .down_norm = "mlp_ln",
                                     .attention_bias = 1,
                                     .down_bias = 1,
                                     .drops_product = 1};

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return mtf_rotary_encoder_build(program, &form, config, err);
}

const mtf_family mtf_family_gte = {"gte", build};
const mtf_family mtf_family_new = {"new", build};
