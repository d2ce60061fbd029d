/* multi_label_classification.c: logits of labels that a sequence has each by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_multi_label_classification;

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_labels = 0;
    MTF_TRY(mtf_config_get_int(config, "n_labels", 1, MTF_HEAD_MAX_OUTPUTS, 1, &n_labels, err));
    return mtf_head_layers(p, name, config, "pooled", "sequences", n_labels, err);
}

const mtf_head_kind mtf_head_multi_label_classification = {
    .kind = "multi_label_classification", .loss = "binary_cross_entropy", .build = build};
