/* language_model.c: logits of a vocabulary at chosen tokens, masked ones or all that have a next one.
 *
 * Logits are large, so only rows are computed that a batch names ("picked.positions").
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_language_model;

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_words = 0;
    MTF_TRY(mtf_config_get_int(config, "n_words", 1, MTF_MOST_WIDE, 1, &n_words, err));
    return mtf_head_layers(p, name, config, "hidden", MTF_HEAD_PICKED, n_words, err);
}

const mtf_head_kind mtf_head_language_model = {.kind = "language_model",
                                               .loss = "cross_entropy",
                                               .declare = mtf_head_declare_picked,
                                               .build = build};
