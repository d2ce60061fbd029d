/* family.h: what a backbone family and a head kind are: a name and a function that builds.
 *
 * Adding one: a new file here that defines `const mtf_family mtf_family_<name>` (or `mtf_head_kind
 * mtf_head_<name>`), and its name in the list of the build file; the tables are generated.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_FAMILY_H
#define MTF_MODEL_FAMILY_H

#include "config.h"
#include "program.h"

typedef struct mtf_family {
    const char *model_type; /* as in config.json */
    /* Declares spaces, inputs, units, parameters, nodes and the outputs "hidden_states.<i>" and
     * "hidden"; ends with mtf_build_pooling(). */
    mtf_status (*build)(mtf_program *program, const mtf_config *config, mtf_error *err);
} mtf_family;

typedef struct mtf_head_kind {
    const char *kind;
    /* Declares the head's one unit (path = name) and the output `name`. */
    mtf_status (*build)(mtf_program *program, const char *name, const mtf_config *config,
                        mtf_error *err);
} mtf_head_kind;

/* NULL-terminated; generated from the build file's lists. */
extern const mtf_family *const mtf_family_table[];
extern const mtf_head_kind *const mtf_head_table[];

/* The family that key "model_type" names; MTF_ERR_CONFIG lists those there are. */
MTF_NODISCARD mtf_status mtf_family_find(const mtf_config *config, const mtf_family **family,
                                         mtf_error *err);

/* Sequence vectors of an encoder over `hidden`: output "pooled" by key "pooling" ("mean", "cls",
 * "pooler"), and "embedding" (L2-normalized when key "normalize" is true). */
mtf_status mtf_build_pooling(mtf_program *program, const mtf_config *config, mtf_tensor_id hidden,
                             mtf_error *err);
/* A pooled vector of `hidden` without parameters: "mean" or "cls"; MTF_NO_TENSOR for other names. */
mtf_tensor_id mtf_build_pool(mtf_program *program, const char *label, const char *how,
                             mtf_tensor_id hidden);

#endif
