/* dinov2.c: DINOv2 encoders from config.json (Oquab et al. 2024), without and with registers.
 *
 * Positions are always interpolated, with registers antialiased, as transformers does. There is no
 * pooler. "mlp_ratio" says how wide the feed-forward network is; with "use_swiglu_ffn" its halves are two
 * thirds of that, rounded up to a multiple of 8. Parameter keys are the hub's tensor names behind
 * "backbone.".
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/vision_encoder.h"
#include "families.h"

extern const mtf_family mtf_family_dinov2;
extern const mtf_family mtf_family_dinov2_with_registers;

static const mtf_vision_names plain = {.norm1 = "norm1",
                                       .norm2 = "norm2",
                                       .inner = "mlp.fc1",
                                       .outer = "mlp.fc2",
                                       .scale1 = "layer_scale1.lambda1",
                                       .scale2 = "layer_scale2.lambda1"};
static const mtf_vision_names gated = {.norm1 = "norm1",
                                       .norm2 = "norm2",
                                       .inner = "mlp.weights_in",
                                       .outer = "mlp.weights_out",
                                       .scale1 = "layer_scale1.lambda1",
                                       .scale2 = "layer_scale2.lambda1"};

static mtf_status build_dinov2(mtf_program *program, const mtf_config *config, int64_t n_registers,
                               mtf_error *err)
{
    mtf_vision_encoder e = {
        .eps = 1e-6, .interpolates = 1, .antialias = n_registers > 0, .n_registers = n_registers};
    int64_t ratio = 4;
    MTF_TRY(mtf_vision_read(&e, config, err));
    MTF_TRY(mtf_config_get_int(config, "mlp_ratio", 1, 4096, 0, &ratio, err));
    MTF_TRY(mtf_config_get_bool(config, "use_swiglu_ffn", &e.gated, err));
    e.names = e.gated ? gated : plain;
    e.ffn = e.gated ? (e.width * ratio * 2 / 3 + 7) / 8 * 8 : e.width * ratio;
    return mtf_vision_build(program, &e, NULL, config, err);
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    return build_dinov2(program, config, 0, err);
}

static mtf_status build_with_registers(mtf_program *program, const mtf_config *config,
                                       mtf_error *err)
{
    int64_t n_registers = 4;
    MTF_TRY(mtf_config_get_int(config, "num_register_tokens", 1, 4096, 0, &n_registers, err));
    return build_dinov2(program, config, n_registers, err);
}

const mtf_family mtf_family_dinov2 = {"dinov2", build};
const mtf_family mtf_family_dinov2_with_registers = {"dinov2_with_registers", build_with_registers};
