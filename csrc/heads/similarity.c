/* similarity.c: the vectors of texts as they are, for losses that compare texts of a batch.
 *
 * No parameters and no node: the output is the backbone's "embedding", or what key "features" names. Key "dims": widths that the loss cuts vectors to.
 * The loss lies outside the core, which takes its gradient as an injection at the output.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_similarity;

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    const char *features = "embedding";
    const int64_t *dims = NULL;
    size_t n_dims = 0;
    mtf_tensor_id x;
    MTF_TRY(mtf_config_get_text(config, "features", &features, err));
    MTF_TRY(mtf_config_get_ints(config, "dims", &dims, &n_dims, err));
    mtf_program_unit(p, name, 1);
    MTF_TRY(mtf_head_features(p, name, features, NULL, "sequences", &x, err));
    for (size_t i = 0; i < n_dims; i++) {
        if (dims[i] > p->tensors[x].width) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "dims of head \"%s\" must be at most the width of the vectors; found "
                            "%lld, and vectors %lld wide; leave it out",
                            name, (long long)dims[i], (long long)p->tensors[x].width);
        }
    }
    mtf_program_output(p, name, x);
    mtf_program_end_unit(p);
    return mtf_program_finish(p, err);
}

const mtf_head_kind mtf_head_similarity = {.kind = "similarity", .build = build};
