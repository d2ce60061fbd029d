/* vision_encoder.c: vision transformers, shared by their families; see vision_encoder.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "vision_encoder.h"

#include "../base/status.h"

/* Height and width of a key that has both. */
static mtf_status read_size(const mtf_config *config, const char *key, int64_t *height,
                            int64_t *width, mtf_error *err)
{
    const int64_t *values = NULL;
    size_t n = 0;
    MTF_TRY(mtf_config_get_ints(config, key, &values, &n, err));
    if (n != 2 || values[0] < 1 || values[1] < 1 || values[0] > MTF_MOST_WIDE ||
        values[1] > MTF_MOST_WIDE) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "%s must be a height and a width of 1 .. %lld; correct config.json", key,
                        (long long)MTF_MOST_WIDE);
    }
    *height = values[0];
    *width = values[1];
    return MTF_OK;
}

static mtf_status read_grid(mtf_vision_encoder *e, const mtf_config *config, mtf_error *err)
{
    int64_t height = 0, width = 0;
    MTF_TRY(mtf_config_get_int(config, "num_channels", 1, 4096, 0, &e->n_channels, err));
    MTF_TRY(read_size(config, "image_size", &height, &width, err));
    MTF_TRY(read_size(config, "patch_size", &e->patch_height, &e->patch_width, err));
    e->grid_height = height / e->patch_height;
    e->grid_width = width / e->patch_width;
    if (e->grid_height < 1 || e->grid_width < 1 ||
        e->grid_height > MTF_MOST_PATCHES / e->grid_width) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "image_size %lld x %lld must have 1 .. %lld patches of patch_size %lld x "
                        "%lld; correct config.json",
                        (long long)height, (long long)width, (long long)MTF_MOST_PATCHES,
                        (long long)e->patch_height, (long long)e->patch_width);
    }
    if (e->patch_height > MTF_MOST_WIDE / e->patch_width / e->n_channels) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "a patch must have at most %lld values, found %lld x %lld pixels of %lld "
                        "channels; correct config.json",
                        (long long)MTF_MOST_WIDE, (long long)e->patch_height,
                        (long long)e->patch_width, (long long)e->n_channels);
    }
    return MTF_OK;
}

mtf_status mtf_vision_read(mtf_vision_encoder *e, const mtf_config *config, mtf_error *err)
{
    e->n_channels = 3;
    e->qkv_bias = 1;
    e->activation = MTF_ACT_GELU;
    MTF_TRY(mtf_config_get_int(config, "hidden_size", 1, MTF_MOST_WIDE, 1, &e->width, err));
    MTF_TRY(mtf_config_get_int(config, "num_hidden_layers", 1, 4096, 1, &e->n_layers, err));
    MTF_TRY(mtf_config_get_int(config, "num_attention_heads", 1, 4096, 1, &e->n_heads, err));
    MTF_TRY(mtf_check_heads(e->width, "hidden_size", e->n_heads, "num_attention_heads", err));
    MTF_TRY(read_grid(e, config, err));
    MTF_TRY(mtf_config_get_eps(config, "layer_norm_eps", &e->eps, err));
    MTF_TRY(mtf_config_get_real(config, "hidden_dropout_prob", 0, 0.999, &e->dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attention_probs_dropout_prob", 0, 0.999,
                                &e->attention_dropout, err));
    MTF_TRY(mtf_config_get_bool(config, "qkv_bias", &e->qkv_bias, err));
    return mtf_read_activation(config, "hidden_act", &e->activation, err);
}

/* Rows of a picture before its patches. */
static int32_t lead_rows(const mtf_vision_encoder *e)
{
    return 1 + e->distillation + (int32_t)e->n_registers;
}

/* `n` rows that are added to or stand beside those of pictures; they do not decay, as DeiT and DINOv2
 * train them. */
static int32_t rows_param(mtf_program *p, const char *key, int64_t n, int64_t width)
{
    const int64_t shape[3] = {1, n, width};
    return mtf_program_param(p, key, 3, shape, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
}

static mtf_tensor_id build_patches(mtf_program *p, const mtf_vision_encoder *e, mtf_tensor_id x)
{
    const int64_t shape[4] = {e->width, e->n_channels, e->patch_height, e->patch_width};
    const int32_t weight =
        mtf_program_param(p, "backbone.embeddings.patch_embeddings.projection.weight", 4, shape,
                          MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO, 0);
    const int32_t bias =
        mtf_program_param(p, "backbone.embeddings.patch_embeddings.projection.bias", 1, shape,
                          MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
    return mtf_node_linear(p, "backbone.embeddings patches", x, weight, bias, MTF_ACT_NONE);
}

static mtf_tensor_id build_embeddings(mtf_program *p, const mtf_vision_encoder *e)
{
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    const int32_t patches =
        e->interpolates ? mtf_program_grid(p, "patches", MTF_MOST_PATCHES)
                        : mtf_program_grid_exact(p, "patches", e->grid_height, e->grid_width);
    mtf_image_tokens_spec spec = {.distillation = -1,
                                  .registers = -1,
                                  .grid_height = e->grid_height,
                                  .grid_width = e->grid_width,
                                  .grid_lead = 1 + e->distillation,
                                  .antialias = e->antialias};
    spec.tokens = mtf_program_space_after(p, "tokens", patches, lead_rows(e));
    const mtf_tensor_id pixels = mtf_program_input_rows(
        p, "pixels", patches, e->n_channels * e->patch_height * e->patch_width);
    p->lead_rows = lead_rows(e);
    mtf_program_unit(p, "backbone.embeddings", 0);
    spec.cls = rows_param(p, "backbone.embeddings.cls_token", 1, e->width);
    if (e->distillation) {
        spec.distillation = rows_param(p, "backbone.embeddings.distillation_token", 1, e->width);
    }
    if (e->n_registers > 0) {
        spec.registers =
            rows_param(p, "backbone.embeddings.register_tokens", e->n_registers, e->width);
    }
    spec.positions = rows_param(p, "backbone.embeddings.position_embeddings",
                                spec.grid_lead + e->grid_height * e->grid_width, e->width);
    mtf_tensor_id x = build_patches(p, e, pixels);
    x = mtf_node_image_tokens(p, "backbone.embeddings tokens", x, &spec);
    x = mtf_part_dropout(&block, "dropout", x, e->dropout);
    mtf_program_end_unit(p);
    return x;
}

/* x, its columns times the factors of part `part`; NULL: x itself. */
static mtf_tensor_id scale(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t width)
{
    char label[MTF_PART_NAME];
    return part != NULL ? mtf_node_scale_columns(block->program, mtf_part_label(block, part, label),
                                                 x, mtf_part_factors(block, part, width))
                        : x;
}

static mtf_tensor_id feed_forward(const mtf_block *block, const mtf_vision_encoder *e,
                                  mtf_tensor_id x)
{
    char label[MTF_PART_NAME];
    if (e->gated) {
        x = mtf_part_dense(block, e->names.inner, x, 2 * e->ffn, MTF_ACT_NONE);
        x = mtf_node_gated(block->program, mtf_part_label(block, "mlp gate", label), x,
                           MTF_NO_TENSOR, MTF_ACT_SILU, 0);
    } else {
        x = mtf_part_dense(block, e->names.inner, x, e->ffn, e->activation);
    }
    return mtf_part_dense(block, e->names.outer, x, e->width, MTF_ACT_NONE);
}

static mtf_tensor_id build_layer(const mtf_block *block, const void *of, int64_t index,
                                 mtf_tensor_id x)
{
    const mtf_vision_encoder *e = of;
    const mtf_attention_part attention = {.query = "attention.attention.query",
                                          .key = "attention.attention.key",
                                          .value = "attention.attention.value",
                                          .output = "attention.output.dense",
                                          .n_heads = e->n_heads,
                                          .unbiased = !e->qkv_bias,
                                          .rate = e->attention_dropout};
    char label[MTF_PART_NAME];
    mtf_tensor_id sum;
    (void)index;
    mtf_tensor_id y = mtf_part_norm(block, e->names.norm1, x, MTF_NO_TENSOR, e->eps);
    y = mtf_part_attention(block, "attention", &attention, y);
    y = mtf_part_dropout(block, "attention dropout", y, e->dropout);
    y = scale(block, e->names.scale1, y, e->width);
    y = mtf_part_layernorm(block, e->names.norm2, y, x, 1, e->eps, &sum);
    y = feed_forward(block, e, y);
    y = mtf_part_dropout(block, "output dropout", y, e->output_dropout ? e->dropout : 0);
    y = scale(block, e->names.scale2, y, e->width);
    return mtf_node_add(block->program, mtf_part_label(block, "sum", label), y, sum);
}

/* The norm of the mean over the patches; `of` is the encoder. */
static mtf_tensor_id build_mean_norm(mtf_program *p, const void *of, mtf_tensor_id hidden)
{
    const mtf_vision_encoder *e = of;
    const mtf_block top = {.program = p, .keys = "backbone", .label = "backbone.final_norm"};
    mtf_tensor_id x = mtf_build_pool(p, "backbone patch means", "mean", hidden);
    mtf_program_output(p, "patch_means", x); /* what is stored where the norm trains, layers not */
    mtf_program_unit(p, "backbone.final_norm", 0);
    x = mtf_part_norm(&top, "fc_norm", x, MTF_NO_TENSOR, e->eps);
    mtf_program_end_unit(p);
    return x;
}

mtf_status mtf_vision_build(mtf_program *p, const mtf_vision_encoder *e, const mtf_pooler *pooler,
                            const mtf_config *config, mtf_error *err)
{
    const mtf_block top = {.program = p, .keys = "backbone", .label = "backbone.final_norm"};
    mtf_tensor_id x = build_embeddings(p, e);
    x = mtf_build_layers(p, "backbone.encoder.layer", e->n_layers, build_layer, e, x);
    if (e->mean_norm) {
        const mtf_pooler mean_norm = {.build = build_mean_norm, .of = e};
        mtf_end_layers(p, e->n_layers, x);
        return mtf_build_pooling(p, config, x, &mean_norm, err);
    }
    mtf_begin_final_norm(p, x);
    x = mtf_part_norm(&top, "layernorm", x, MTF_NO_TENSOR, e->eps);
    mtf_end_final_norm(p, e->n_layers, x);
    return mtf_build_pooling(p, config, x, pooler, err);
}
