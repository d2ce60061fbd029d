/* bert.c: BERT encoders from config.json (Devlin et al. 2019), post-norm: encoder.h has the formulas.
 *
 * Parameter keys are the hub's tensor names behind "backbone." (without "bert.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_bert;

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    mtf_encoder encoder;
    MTF_TRY(mtf_encoder_read(&encoder, &mtf_bert_form, config, err));
    return mtf_encoder_build(program, &encoder, &mtf_bert_pooler, config, err);
}

const mtf_family mtf_family_bert = {"bert", build};
