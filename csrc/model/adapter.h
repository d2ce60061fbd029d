/* adapter.h: few parameters of their own beside the linear layers of a backbone: LoRA and IA3.
 *
 * An adapter is a pass over the program of a finished backbone: it names linear layers by their keys
 * (*sites*) and puts operations before or after them; families know nothing of it.
 *
 *   lora: y = W x + b + scale B A drop(x)       parameters lora.<site>.lora_A.weight (r,K),
 *                                               lora.<site>.lora_B.weight (N,r)
 *   ia3:  y = v (W x + b), or y = W (v x) + b   parameter ia3.<site>.ia3_l (N) or (K)
 *
 * Its parameters are one unit, "lora" or "ia3", behind those of the backbone. Its nodes say which unit
 * they change (mtf_node.host): while they train, that unit is in no prefix.
 * Keys: "adapter" ("lora" or "ia3"), "adapter.dropout", "adapter.n", and of each site i
 * "adapter.<i>.site" (the weight's key without "backbone." and ".weight"), of lora ".rank" and ".scale",
 * of ia3 ".input" (true: what the layer reads is scaled).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_ADAPTER_H
#define MTF_MODEL_ADAPTER_H

#include "config.h"
#include "program.h"

/* Adds an adapter to the program of a backbone that has no head yet. MTF_ERR_CONFIG: a site that is no
 * linear layer of it, or is named twice; sizes out of range. */
MTF_NODISCARD mtf_status mtf_adapter_build(mtf_program *program, const mtf_config *config,
                                           mtf_error *err);

#endif
