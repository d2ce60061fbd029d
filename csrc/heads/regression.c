/* regression.c: numbers for a sequence, learned from float targets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_regression;

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    int64_t n_outputs = 0;
    MTF_TRY(mtf_config_get_int(config, "n_outputs", 1, MTF_HEAD_MAX_OUTPUTS, 1, &n_outputs, err));
    return mtf_head_layers(p, name, config, "pooled", "sequences", n_outputs, err);
}

const mtf_head_kind mtf_head_regression = {.kind = "regression", .loss = "mse", .build = build};
