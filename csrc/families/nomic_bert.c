/* nomic_bert.c: NomicBERT (Nussbaum et al. 2024): rotary_encoder.h has the formulas.
 *
 * Parameter keys are the hub's tensor names behind "backbone.".
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/rotary_encoder.h"
#include "families.h"

extern const mtf_family mtf_family_nomic_bert;

static const mtf_rotary_form form = {.word = "word_embeddings",
                                     .type = "token_type_embeddings",
                                     .norm_keys = "backbone",
                                     .norm = "emb_ln",
                                     .layers = "backbone.encoder.layers",
                                     .qkv = "attn.Wqkv",
                                     .attention_output = "attn.out_proj",
                                     .attention_norm = "norm1",
                                     .up = "mlp.fc11",
                                     .gate = "mlp.fc12",
                                     .down = "mlp.fc2",
                                     .down_norm = "norm2"};

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return mtf_rotary_encoder_build(program, &form, config, err);
}

const mtf_family mtf_family_nomic_bert = {"nomic_bert", build};
