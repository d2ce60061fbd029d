/* pair_classification.c: logits of one label for two sequences that stand together, read apart.
 *
 * A batch says which: a sequence with a row of the space "pairs" makes a pair with the next one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_pair_classification;

static mtf_status declare(mtf_program *p, const char *name, const mtf_config *config,
                          mtf_error *err)
{
    (void)name;
    (void)config;
    const int32_t space = mtf_program_space_of_heads(p, MTF_HEAD_PAIRS, 1);
    if (p->failure.code != MTF_OK) {
        *err = p->failure;
        return p->failure.code;
    }
    p->spaces[space].joins_next = 1;
    return MTF_OK;
}

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_labels = 0;
    MTF_TRY(mtf_config_get_int(config, "n_labels", 2, MTF_HEAD_MAX_OUTPUTS, 1, &n_labels, err));
    return mtf_head_layers(p, name, config, "pooled", MTF_HEAD_PAIRS, n_labels, err);
}

const mtf_head_kind mtf_head_pair_classification = {
    .kind = "pair_classification", .loss = "cross_entropy", .declare = declare, .build = build};
