/* mobilenet_v2.c: MobileNetV2 over images from config.json (Sandler et al. 2018), as transformers has
 * it.
 *
 *   x = project(depthwise(conv3x3 pixels))                                  the stem, half the sides
 *   x = project(depthwise(expand x)) [+ x]                                  per block
 *   x = conv1x1 x                                                           above them
 *
 * Each of these is a convolution, a batch norm, and relu6, which projections leave out. Norms go by
 * their stored statistics, or with batch_norm "batch" in units that train by those of the batch, which
 * move the stored ones by "batch_norm_momentum"; transformers has 0.997 of it. x is added where a
 * block changes neither sides nor width. Sixteen blocks, of which numbers 0, 2, 5 and 12 halve the
 * grid. Widths are rounded to multiples, but never down by more than a tenth.
 * With key "tf_padding" borders are those of TensorFlow's SAME, else one row on each side.
 * Parameter keys are the hub's tensor names behind "backbone." (without "mobilenet_v2.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <math.h>
#include <stdio.h>

extern const mtf_family mtf_family_mobilenet_v2;

enum { N_BLOCKS = 16, KERNEL = 3, STEM_WIDTH = 32, TOP_WIDTH = 1280 };
/* As of residual networks: resnet.c. */
#define MOST_PIXELS      (INT64_C(1) << 24)
#define PIXELS_PER_TOKEN 64

/* Before they are multiplied: what the stem gives, and each block. */
static const int64_t widths[N_BLOCKS + 1] = {16, 24, 24, 32, 32,  32,  64,  64, 64,
                                             64, 96, 96, 96, 160, 160, 160, 320};
static const int64_t strides[N_BLOCKS] = {2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1};

typedef struct mobilenet_config {
    double multiplier, expansion, eps, momentum;
    int64_t divisor, least;
    int same, plain_stem, fine, by_batch;
} mobilenet_config;

static mtf_status read_config(mobilenet_config *c, const mtf_config *config, mtf_error *err)
{
    *c = (mobilenet_config){.multiplier = 1,
                            .expansion = 6,
                            .eps = 1e-3,
                            .momentum = 0.997,
                            .divisor = 8,
                            .least = 8,
                            .same = 1,
                            .plain_stem = 1,
                            .fine = 1};
    MTF_TRY(mtf_config_get_real(config, "depth_multiplier", 0.01, 16, &c->multiplier, err));
    MTF_TRY(mtf_config_get_real(config, "expand_ratio", 0.1, 64, &c->expansion, err));
    MTF_TRY(mtf_config_get_int(config, "depth_divisible_by", 1, 1024, 0, &c->divisor, err));
    MTF_TRY(mtf_config_get_int(config, "min_depth", 1, 4096, 0, &c->least, err));
    MTF_TRY(mtf_config_get_eps(config, "layer_norm_eps", &c->eps, err));
    MTF_TRY(mtf_read_batch_norm(config, &c->by_batch, err));
    MTF_TRY(mtf_config_get_real(config, "batch_norm_momentum", 1e-6, 1, &c->momentum, err));
    MTF_TRY(mtf_config_get_bool(config, "tf_padding", &c->same, err));
    MTF_TRY(mtf_config_get_bool(config, "first_layer_is_expansion", &c->plain_stem, err));
    return mtf_config_get_bool(config, "finegrained_output", &c->fine, err);
}

/* `width` times `factor` as a multiple of the divisor. */
static int64_t rounded(const mobilenet_config *c, int64_t width, double factor)
{
    const int64_t value = llrint((double)width * factor);
    const int64_t near = (2 * value + c->divisor) / 2 / c->divisor * c->divisor;
    const int64_t found = near > c->least ? near : c->least;
    return (double)found < 0.9 * (double)value ? found + c->divisor : found;
}

/* What a convolution does beside its width. */
typedef struct conv_part {
    int64_t width, kernel, stride;
    int32_t grid;
    int depthwise, clips;
} conv_part;

/* The convolution "<block>.<part>" with its norm; residual MTF_NO_TENSOR: none. */
static mtf_tensor_id build_conv(mtf_program *p, const mobilenet_config *c, const char *block,
                                const char *part, mtf_tensor_id x, mtf_tensor_id residual,
                                const conv_part *to)
{
    char keys[64];
    char key[MTF_PART_NAME];
    (void)snprintf(keys, sizeof keys, "%s%s%s", block, part[0] != '\0' ? "." : "", part);
    (void)snprintf(key, sizeof key, "%s.convolution.weight", keys);
    const int64_t inputs = x != MTF_NO_TENSOR ? p->tensors[x].width : 1;
    const int64_t shape[4] = {to->width, to->depthwise ? 1 : inputs, to->kernel, to->kernel};
    const mtf_layout layout = to->depthwise ? MTF_LAYOUT_OUT_IN : MTF_LAYOUT_TAPS;
    mtf_convolution_spec spec = {
        .kernel = to->kernel,
        .stride = to->stride,
        .padding = to->kernel / 2,
        .grid = to->grid,
        .weight = mtf_program_param(p, key, 4, shape, layout, 1, MTF_INIT_ZERO, 0),
        .bias = -1,
        .by_batch = c->by_batch,
        .momentum = c->momentum,
        .eps = c->eps,
        .activation = to->clips ? MTF_ACT_RELU6 : MTF_ACT_NONE,
        .same = c->same};
    (void)snprintf(key, sizeof key, "%s.normalization", keys);
    mtf_part_batch_norm(p, key, to->width, &spec);
    return to->depthwise ? mtf_node_depthwise(p, keys, x, &spec)
                         : mtf_node_convolution(p, keys, x, residual, &spec);
}

static mtf_tensor_id build_stem(mtf_program *p, const mobilenet_config *c, mtf_tensor_id x,
                                int32_t grid)
{
    const char *keys = "backbone.conv_stem";
    const int64_t wide = rounded(c, STEM_WIDTH, c->multiplier);
    const conv_part first = {wide, KERNEL, 2, grid, 0, 1};
    const conv_part expand = {wide, 1, 1, grid, 0, 1};
    const conv_part depthwise = {wide, KERNEL, 1, grid, 1, 1};
    const conv_part reduce = {rounded(c, widths[0], c->multiplier), 1, 1, grid, 0, 0};
    mtf_program_unit(p, "backbone.stem", 0);
    x = build_conv(p, c, keys, "first_conv", x, MTF_NO_TENSOR, &first);
    if (!c->plain_stem) {
        x = build_conv(p, c, keys, "expand_1x1", x, MTF_NO_TENSOR, &expand);
    }
    x = build_conv(p, c, keys, "conv_3x3", x, MTF_NO_TENSOR, &depthwise);
    x = build_conv(p, c, keys, "reduce_1x1", x, MTF_NO_TENSOR, &reduce);
    mtf_program_end_unit(p);
    return x;
}

/* Block `index` over x, whose rows lie in `from`, into the grid `to`. */
static mtf_tensor_id build_block(mtf_program *p, const mobilenet_config *c, int64_t index,
                                 mtf_tensor_id x, int32_t from, int32_t to)
{
    char name[64];
    char keys[64];
    const int64_t inputs = rounded(c, widths[index], c->multiplier);
    const int64_t outputs = rounded(c, widths[index + 1], c->multiplier);
    const int64_t wide = rounded(c, inputs, c->expansion);
    const conv_part expand = {wide, 1, 1, from, 0, 1};
    const conv_part depthwise = {wide, KERNEL, strides[index], to, 1, 1};
    const conv_part reduce = {outputs, 1, 1, to, 0, 0};
    const mtf_tensor_id residual = strides[index] == 1 && inputs == outputs ? x : MTF_NO_TENSOR;
    (void)snprintf(name, sizeof name, "hidden_states.%lld", (long long)index);
    mtf_program_output(p, name, x);
    (void)snprintf(name, sizeof name, "backbone.blocks[%lld]", (long long)index);
    (void)snprintf(keys, sizeof keys, "backbone.layer.%lld", (long long)index);
    mtf_program_unit(p, name, 0);
    x = build_conv(p, c, keys, "expand_1x1", x, MTF_NO_TENSOR, &expand);
    x = build_conv(p, c, keys, "conv_3x3", x, MTF_NO_TENSOR, &depthwise);
    x = build_conv(p, c, keys, "reduce_1x1", x, residual, &reduce);
    mtf_program_end_unit(p);
    return x;
}

static mtf_status build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    mobilenet_config c;
    const mtf_grid_window half = {KERNEL, 2, KERNEL / 2, 0};
    MTF_TRY(read_config(&c, config, err));
    const int32_t pixels = mtf_program_grid(p, "pixels", MOST_PIXELS);
    mtf_program_rows_per_token(p, pixels, PIXELS_PER_TOKEN);
    mtf_tensor_id x = mtf_program_input_rows(p, "pixels", pixels, 3);
    int32_t grids[N_BLOCKS + 1] = {mtf_program_grid_after(p, "stem", pixels, half)};
    for (int64_t i = 0; i < N_BLOCKS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "blocks.%lld", (long long)i);
        grids[i + 1] = strides[i] > 1 ? mtf_program_grid_after(p, name, grids[i], half) : grids[i];
    }
    x = build_stem(p, &c, x, grids[0]);
    for (int64_t i = 0; i < N_BLOCKS; i++) {
        x = build_block(p, &c, i, x, grids[i], grids[i + 1]);
    }
    const int64_t top =
        c.fine && c.multiplier < 1 ? TOP_WIDTH : rounded(&c, TOP_WIDTH, c.multiplier);
    const conv_part last = {top, 1, 1, grids[N_BLOCKS], 0, 1};
    mtf_program_output(p, "layers", x); /* so that it can be stored where what is above trains */
    mtf_program_unit(p, "backbone.final_convolution", 0);
    x = build_conv(p, &c, "backbone.conv_1x1", "", x, MTF_NO_TENSOR, &last);
    mtf_program_end_unit(p);
    mtf_end_layers(p, N_BLOCKS, x);
    return mtf_build_pooling(p, config, x, NULL, err);
}

const mtf_family mtf_family_mobilenet_v2 = {"mobilenet_v2", build};
