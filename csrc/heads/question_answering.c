/* question_answering.c: two logits a token, of an answer's first and of its last.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_question_answering;

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_outputs = 0;
    MTF_TRY(mtf_config_get_int(config, "n_outputs", 2, 2, 1, &n_outputs, err));
    return mtf_head_layers(p, name, config, "hidden", "tokens", n_outputs, err);
}

const mtf_head_kind mtf_head_question_answering = {
    .kind = "question_answering", .loss = "span", .build = build};
