/* mpnet.c: MPNet encoders (Song et al. 2020): BERT with positions as RoBERTa counts them and a bias by
 * distance, which one table gives for the attention of every layer.
 *
 *   scores = q k^T / sqrt(head width) + table[bucket(i - j)]      32 buckets, up to distance 128
 *
 * The table is a unit of its own, below all layers: while it trains, so does something below every
 * layer's output. The position of padding is the constant 1, whatever pad_token_id is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_mpnet;

enum { PAD = 1, BUCKETS = 32, MAX_DISTANCE = 128 };

static mtf_encoder_form form(void)
{
    mtf_encoder_form form = mtf_bert_form;
    form.keys.n_types = NULL;
    form.type = NULL;
    form.query = "attention.attn.q";
    form.key = "attention.attn.k";
    form.value = "attention.attn.v";
    form.attention_output = "attention.attn.o";
    form.attention_norm = "attention.LayerNorm";
    return form;
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    const mtf_encoder_form mpnet = form();
    const mtf_block block = {.program = program, .keys = "backbone.encoder"};
    mtf_encoder encoder;
    MTF_TRY(mtf_encoder_read(&encoder, &mpnet, config, err));
    encoder.reads_types = 0;
    encoder.pad = PAD;
    if (PAD + 1 >= encoder.n_positions) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "max_position_embeddings %lld leaves no position for a token above that of "
                        "padding, %d; correct config.json",
                        (long long)encoder.n_positions, PAD);
    }
    mtf_tensor_id x = mtf_encoder_embeddings(program, &encoder);
    mtf_program_unit(program, "backbone.relative_bias", 0);
    const mtf_relative_part relative = {
        .table = mtf_part_weight(&block, "relative_attention_bias", BUCKETS, encoder.n_heads),
        .max_distance = MAX_DISTANCE};
    mtf_program_end_unit(program);
    encoder.relative = &relative;
    x = mtf_encoder_layers(program, &encoder, x);
    return mtf_build_pooling(program, config, x, &mtf_bert_pooler, err);
}

const mtf_family mtf_family_mpnet = {"mpnet", build};
