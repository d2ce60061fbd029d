/* layers.c: what all backbones call their layers, and what they hand on between them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <stdio.h>

static void output_state(mtf_program *program, int64_t index, mtf_tensor_id x)
{
    char name[48];
    (void)snprintf(name, sizeof name, "hidden_states.%lld", (long long)index);
    mtf_program_output(program, name, x);
}

mtf_tensor_id mtf_build_layers(mtf_program *program, const char *keys, int64_t n_layers,
                               mtf_layer_builder build, const void *of, mtf_tensor_id x)
{
    for (int64_t i = 0; i < n_layers; i++) {
        char unit[64], own_keys[128];
        (void)snprintf(unit, sizeof unit, "backbone.layers[%lld]", (long long)i);
        (void)snprintf(own_keys, sizeof own_keys, "%s.%lld", keys, (long long)i);
        const mtf_block block = {.program = program, .keys = own_keys, .label = unit};
        x = mtf_build_layer(&block, unit, i, build, of, x);
    }
    return x;
}

mtf_tensor_id mtf_build_layer(const mtf_block *block, const char *unit, int64_t index,
                              mtf_layer_builder build, const void *of, mtf_tensor_id x)
{
    output_state(block->program, index, x);
    mtf_program_unit(block->program, unit, 0);
    x = build(block, of, index, x);
    mtf_program_end_unit(block->program);
    return x;
}

void mtf_end_layers(mtf_program *program, int64_t n_layers, mtf_tensor_id x)
{
    output_state(program, n_layers, x);
    mtf_program_output(program, "hidden", x);
}

void mtf_begin_final_norm(mtf_program *program, mtf_tensor_id x)
{
    mtf_program_output(program, "layers", x);
    mtf_program_unit(program, "backbone.final_norm", 0);
}

void mtf_end_final_norm(mtf_program *program, int64_t n_layers, mtf_tensor_id normalised)
{
    mtf_program_end_unit(program);
    mtf_end_layers(program, n_layers, normalised);
}
