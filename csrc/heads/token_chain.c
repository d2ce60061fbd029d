/* token_chain.c: scores of labels of tokens and of their following each other, for a loss over the
 * labels of a whole sequence (csrc/losses/crf.c).
 *
 * Transitions start uniform between -0.1 and 0.1. SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

#include <stdio.h>

#define INIT_BOUND 0.1
/* Rows have the square of it in columns. */
#define MOST_LABELS 256

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_token_chain;

static mtf_tensor_id add_transitions(mtf_program *p, const char *name, mtf_tensor_id emissions,
                                     int64_t n_labels)
{
    static const char *const PARTS[] = {"transitions", "start_transitions", "end_transitions"};
    const int64_t shape[] = {n_labels, n_labels};
    int32_t params[3];
    char text[MTF_PART_NAME];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(text, sizeof text, "%s.%s", name, PARTS[i]);
        params[i] = mtf_program_param(p, text, i == 0 ? 2 : 1, shape, MTF_LAYOUT_OUT_IN, 0,
                                      MTF_INIT_UNIFORM, INIT_BOUND);
    }
    (void)snprintf(text, sizeof text, "%s transitions", name);
    return mtf_node_transitions(p, text, emissions, params[0], params[1], params[2]);
}

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_labels = 0;
    mtf_tensor_id emissions;
    MTF_TRY(mtf_config_get_int(config, "n_labels", 2, MOST_LABELS, 1, &n_labels, err));
    MTF_TRY(mtf_head_logits(p, name, config, "hidden", "tokens", n_labels, &emissions, err));
    mtf_program_output(p, name, add_transitions(p, name, emissions, n_labels));
    mtf_program_end_unit(p);
    return mtf_program_finish(p, err);
}

const mtf_head_kind mtf_head_token_chain = {.kind = "token_chain", .loss = "crf", .build = build};
