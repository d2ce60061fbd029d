/* vision_encoder.h: vision transformers, pre-norm, as data (Dosovitskiy et al. 2021).
 *
 *   x = dropout([cls ; distillation ; registers ; W patches + b] + positions)
 *   x = x + s1 dropout(Wo attention(Wq y, Wk y, Wv y)),  y = LayerNorm(x)      per layer
 *   x = x + s2 F(LayerNorm(x)),  F(z) = W2 act(W1 z), or W2 (silu(a) * b) with [a|b] = W1 z
 *   hidden = LayerNorm(x)
 *
 * Registers have no positions (Darcet et al. 2024); s1, s2 are factors a column (Touvron et al. 2021), 1
 * where a family has none. A patch is a row of channels x height x width values, as its weight is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_VISION_ENCODER_H
#define MTF_MODEL_VISION_ENCODER_H

#include "parts.h"

/* Most patches of a picture that has no one size: one of 4096 x 4096 pixels in patches of 16. */
#define MTF_MOST_PATCHES (INT64_C(1) << 16)

/* Names of parts in the block "backbone.encoder.layer.<i>"; scale NULL: there is none. */
typedef struct mtf_vision_names {
    const char *norm1, *norm2, *inner, *outer;
    const char *scale1, *scale2;
} mtf_vision_names;

typedef struct mtf_vision_encoder {
    mtf_vision_names names;
    int64_t width, n_layers, n_heads, ffn; /* ffn: of each half where it is gated */
    int64_t n_channels, patch_height, patch_width;
    int64_t grid_height, grid_width; /* of the table of positions */
    int64_t n_registers;
    double eps, dropout, attention_dropout;
    mtf_activation activation;
    int qkv_bias;
    int distillation; /* there is a distillation token */
    int interpolates; /* pictures of other grids have their positions interpolated; else refused */
    int antialias;    /* and how */
    int gated;        /* F is the second form */
    int output_dropout; /* dropout after W2 as well */
    int mean_norm;      /* the norm above the layers is of the mean of the patches, the pooler */
} mtf_vision_encoder;

/* Reads "hidden_size", "num_hidden_layers", "num_attention_heads", "num_channels", "image_size" and
 * "patch_size" (each height and width), "hidden_act", "layer_norm_eps" (eps holds that where there is none),
 * "qkv_bias" and the rates "hidden_dropout_prob" and "attention_probs_dropout_prob". */
MTF_NODISCARD mtf_status mtf_vision_read(mtf_vision_encoder *encoder, const mtf_config *config,
                                         mtf_error *err);
/* The whole backbone: the grid "patches", the space "tokens", the input "pixels", units and outputs as
 * mtf_build_layers() and mtf_begin_final_norm() have them, and mtf_build_pooling(). With `mean_norm` the
 * pooler is that norm, over the output "patch_means", and other poolings leave it out. */
mtf_status mtf_vision_build(mtf_program *program, const mtf_vision_encoder *encoder,
                            const mtf_pooler *pooler, const mtf_config *config, mtf_error *err);

#endif
