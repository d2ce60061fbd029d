/* roberta.c: RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT with other positions.
 *
 * The position of a token is pad_token_id + 1 + how many tokens before it are not padding; a padding
 * token that stands in a text has the position pad_token_id. So the longest text has
 * max_position_embeddings - pad_token_id - 1 tokens. All tokens are of type 0, whatever the
 * tokenizer says: that row of the table is added everywhere, and trains.
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_roberta, mtf_family_xlm_roberta, mtf_family_camembert;

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    mtf_encoder encoder;
    MTF_TRY(mtf_encoder_read(&encoder, &mtf_bert_form, config, err));
    encoder.reads_types = 0;
    encoder.pad = 1;
    MTF_TRY(mtf_config_get_int(config, "pad_token_id", 0, encoder.vocabulary - 1, 0, &encoder.pad,
                               err));
    if (encoder.pad + 1 >= encoder.n_positions) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "max_position_embeddings %lld leaves no position for a token above "
                        "pad_token_id %lld; correct config.json",
                        (long long)encoder.n_positions, (long long)encoder.pad);
    }
    return mtf_encoder_build(program, &encoder, &mtf_bert_pooler, config, err);
}

const mtf_family mtf_family_roberta = {"roberta", build};
const mtf_family mtf_family_xlm_roberta = {"xlm-roberta", build};
const mtf_family mtf_family_camembert = {"camembert", build};
