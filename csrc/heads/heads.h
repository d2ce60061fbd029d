/* heads.h: what the file of a kind of head includes, and the layers that several kinds have.
 *
 * csrc/heads holds the kinds of heads: each appends its unit, its parameters and its output to the
 * program of a backbone. Nobody calls one by name: the network (model/) finds it in the generated
 * table. It calls model/ only and knows neither families nor plans nor batches.
 *
 * Adding one: csrc/heads/<kind>.c that defines `const mtf_head_kind mtf_head_<kind>`, and <kind> in
 * MTF_HEADS of cmake/sources.cmake.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_HEADS_HEADS_H
#define MTF_HEADS_HEADS_H

#include "../base/status.h"
#include "../model/parts.h"
#include "../model/registry.h"

#define MTF_HEAD_MAX_OUTPUTS (INT64_C(1) << 20)

/* The row space that heads have which read chosen tokens only, and what its input's name begins with:
 * "picked.positions", where in its sequence each row stands. */
#define MTF_HEAD_PICKED "picked"
/* The row space of pairs: a sequence with a row makes one with the next. */
#define MTF_HEAD_PAIRS "pairs"
/* For mtf_head_kind.declare: that row space and input, of all such heads together. */
mtf_status mtf_head_declare_picked(mtf_program *program, const char *name, const mtf_config *config,
                                   mtf_error *err);

/* The unit and the output of head `name`: from the features that its configuration names, else from
 * `features`, to n_outputs values for each row of the row space `space`. Reads the keys "features",
 * "pooling", "dropout", "hidden", "activation", "norm_eps", "tied" and those of biases. */
mtf_status mtf_head_layers(mtf_program *program, const char *name, const mtf_config *config,
                           const char *features, const char *space, int64_t n_outputs,
                           mtf_error *err);

#endif
