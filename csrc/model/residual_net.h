/* residual_net.h: residual networks over images (He et al. 2015), as transformers has them: what the
 * families share that are one or look at images through one.
 *
 *   x = maxpool(relu(norm(conv7x7 pixels)))                                  the stem
 *   x = relu(norm(conv ... relu(norm(conv x))) + shortcut(x))                per block
 *
 * Images come as rows of pixels (red, green, blue), any height and width.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_RESIDUAL_NET_H
#define MTF_MODEL_RESIDUAL_NET_H

#include "config.h"
#include "program.h"

enum { MTF_MOST_STAGES = 6 };

typedef struct mtf_residual_net {
    int64_t channels, embedding;
    int64_t n_stages, depths[MTF_MOST_STAGES], widths[MTF_MOST_STAGES];
    int bottleneck, halves_first_stage, halves_in_first;
} mtf_residual_net;

/* From the keys that transformers' configuration of a ResNet has: "depths", "hidden_sizes", ... */
MTF_NODISCARD mtf_status mtf_residual_read(mtf_residual_net *net, const mtf_config *config,
                                           mtf_error *err);
/* The input "pixels", the grids "pixels", "stem", "stem.pooled" and "stages.<s>", the units
 * "backbone.stem" and "backbone.stages[s].blocks[b]", and what each stage reads as output
 * "hidden_states.<s>". Parameter keys are transformers' names behind "<keys>.". Returns what the last
 * stage gives, which is no output yet. */
mtf_tensor_id mtf_residual_build(mtf_program *program, const mtf_residual_net *net,
                                 const char *keys);

#endif
