/* electra.c: ELECTRA (Clark et al. 2020): BERT whose tables may be narrower than its layers.
 *
 * Where embedding_size differs from hidden_size the normalised embeddings are multiplied by
 * "embeddings_project"; there is no such layer where the two are the same. There is no pooler.
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_electra;

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    mtf_encoder encoder;
    MTF_TRY(mtf_encoder_read(&encoder, &mtf_bert_form, config, err));
    encoder.embedding_width = 128;
    MTF_TRY(mtf_config_get_int(config, "embedding_size", 1, MTF_MOST_WIDE, 0,
                               &encoder.embedding_width, err));
    mtf_tensor_id x = mtf_encoder_embeddings(program, &encoder);
    if (encoder.embedding_width != encoder.width) {
        x = mtf_encoder_projection(program, &encoder, "embeddings_project", x);
    }
    x = mtf_encoder_layers(program, &encoder, x);
    return mtf_build_pooling(program, config, x, NULL, err);
}

const mtf_family mtf_family_electra = {"electra", build};
