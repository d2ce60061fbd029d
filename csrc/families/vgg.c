/* vgg.c: VGG networks over images from config.json (Simonyan and Zisserman 2014), as torchvision has
 * them.
 *
 *   x = maxpool2(relu(norm(conv3x3 ... x)))         per block; without batch_norm the norm is left out
 *   v = relu(W v + b), v = 7 x 7 means of x         per wide layer; then dropout
 *
 * Five blocks of one to four convolutions with biases, then two wide layers, which are the family's
 * pooler: other poolings read the last grid and leave them out. Images come as rows of pixels (red,
 * green, blue), any height and width that every block can halve. Batch norms go by their stored
 * statistics (convolution.c), or with batch_norm "batch" in units that train by those of the batch
 * (batch_norm.c).
 * Parameter keys are torchvision's tensor names behind "backbone.": "features.<n>", where activations
 * and pools count in n, and "classifier.<3 i>".
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <stdio.h>

extern const mtf_family mtf_family_vgg;

enum { MOST_BLOCKS = 6, MOST_CONVOLUTIONS = 64, MOST_WIDE_LAYERS = 4, KERNEL = 3 };
/* As of residual networks: resnet.c. */
#define MOST_PIXELS      (INT64_C(1) << 24)
#define PIXELS_PER_TOKEN 64

typedef struct vgg_config {
    int64_t n_blocks, depths[MOST_BLOCKS], widths[MOST_BLOCKS];
    int64_t n_wide, wide[MOST_WIDE_LAYERS];
    int64_t bins;
    int batch_norm, by_batch;
    double dropout;
} vgg_config;

/* `n` numbers of a key, each of 1 .. most, into `to` (most_n). */
static mtf_status read_numbers(const mtf_config *config, const char *key, int64_t most,
                               int64_t most_n, int64_t *to /* (most_n) */, int64_t *n,
                               mtf_error *err)
{
    const int64_t *values = NULL;
    size_t found = 0;
    MTF_TRY(mtf_config_get_ints(config, key, &values, &found, err));
    if (found < 1 || found > (size_t)most_n) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "expected 1 to %lld numbers as %s, found %zu; correct the configuration",
                        (long long)most_n, key, found);
    }
    for (size_t i = 0; i < found; i++) {
        if (values[i] < 1 || values[i] > most) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "expected %s from 1 to %lld, found %lld; correct the configuration",
                            key, (long long)most, (long long)values[i]);
        }
        to[i] = values[i];
    }
    *n = (int64_t)found;
    return MTF_OK;
}

static mtf_status read_config(vgg_config *c, const mtf_config *config, mtf_error *err)
{
    int64_t n_widths = 0;
    *c = (vgg_config){.bins = 7, .dropout = 0.5};
    MTF_TRY(read_numbers(config, "depths", MOST_CONVOLUTIONS, MOST_BLOCKS, c->depths, &c->n_blocks,
                         err));
    MTF_TRY(read_numbers(config, "hidden_sizes", MTF_MOST_WIDE, MOST_BLOCKS, c->widths, &n_widths,
                         err));
    MTF_TRY(read_numbers(config, "classifier_sizes", MTF_MOST_WIDE, MOST_WIDE_LAYERS, c->wide,
                         &c->n_wide, err));
    MTF_TRY(mtf_config_get_int(config, "pooled_size", 1, 64, 0, &c->bins, err));
    MTF_TRY(mtf_config_get_bool(config, "use_batch_norm", &c->batch_norm, err));
    MTF_TRY(mtf_read_batch_norm(config, &c->by_batch, err));
    MTF_TRY(mtf_config_get_real(config, "dropout", 0, 0.999, &c->dropout, err));
    if (n_widths != c->n_blocks) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "expected depths and hidden_sizes of the same blocks, found %lld and %lld; "
                        "correct the configuration",
                        (long long)c->n_blocks, (long long)n_widths);
    }
    return MTF_OK;
}

/* relu(norm(conv x)), the convolution being number `number` and its norm the next one. */
static mtf_tensor_id build_conv(mtf_program *p, const vgg_config *c, int64_t number,
                                mtf_tensor_id x, int64_t width, int32_t grid)
{
    char label[64];
    char key[MTF_PART_NAME];
    const int64_t inputs = x != MTF_NO_TENSOR ? p->tensors[x].width : 1;
    const int64_t shape[4] = {width, inputs, KERNEL, KERNEL};
    (void)snprintf(label, sizeof label, "backbone.features.%lld", (long long)number);
    (void)snprintf(key, sizeof key, "%s.weight", label);
    mtf_convolution_spec spec = {.kernel = KERNEL,
                                 .stride = 1,
                                 .padding = KERNEL / 2,
                                 .grid = grid,
                                 .norm_weight = -1,
                                 .norm_bias = -1,
                                 .mean = -1,
                                 .variance = -1,
                                 .by_batch = c->batch_norm && c->by_batch,
                                 .momentum = MTF_NORM_MOMENTUM,
                                 .eps = MTF_NORM_EPS,
                                 .activation = MTF_ACT_RELU};
    spec.weight = mtf_program_param(p, key, 4, shape, MTF_LAYOUT_TAPS, 1, MTF_INIT_ZERO, 0);
    (void)snprintf(key, sizeof key, "%s.bias", label);
    spec.bias = mtf_program_param(p, key, 1, &width, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
    if (c->batch_norm) {
        (void)snprintf(key, sizeof key, "backbone.features.%lld", (long long)(number + 1));
        mtf_part_batch_norm(p, key, width, &spec);
    }
    return mtf_node_convolution(p, label, x, MTF_NO_TENSOR, &spec);
}

/* Each block in the grid `grids[b]`, and its pool to the next one. */
static mtf_tensor_id build_blocks(mtf_program *p, const vgg_config *c,
                                  const int32_t *grids /* (n_blocks + 1) */, mtf_tensor_id x)
{
    char name[64];
    int64_t number = 0;
    for (int64_t b = 0; b < c->n_blocks; b++) {
        if (b > 0) { /* what the first block reads is the input */
            (void)snprintf(name, sizeof name, "hidden_states.%lld", (long long)b);
            mtf_program_output(p, name, x);
        }
        (void)snprintf(name, sizeof name, "backbone.blocks[%lld]", (long long)b);
        mtf_program_unit(p, name, 0);
        for (int64_t i = 0; i < c->depths[b]; i++) {
            x = build_conv(p, c, number, x, c->widths[b], grids[b]);
            number += c->batch_norm ? 3 : 2;
        }
        (void)snprintf(name, sizeof name, "backbone.features.%lld", (long long)number++);
        x = mtf_node_grid_max_pool(p, name, x, 2, 2, 0, grids[b + 1]);
        mtf_program_end_unit(p);
    }
    return x;
}

/* The wide layers over 7 x 7 means, each a unit. */
static mtf_tensor_id build_wide(mtf_program *p, const void *of, mtf_tensor_id hidden)
{
    const vgg_config *c = of;
    const mtf_block block = {
        .program = p, .keys = "backbone.classifier", .label = "backbone.classifier"};
    mtf_tensor_id x = mtf_node_adaptive_mean(p, "backbone.avgpool", hidden, c->bins);
    mtf_program_output(p, "grid_means",
                       x); /* what is stored where wide layers train and blocks do not */
    for (int64_t i = 0; i < c->n_wide; i++) {
        char unit[64];
        char part[32];
        (void)snprintf(unit, sizeof unit, "backbone.classifier[%lld]", (long long)i);
        (void)snprintf(part, sizeof part, "%lld", (long long)(3 * i));
        mtf_program_unit(p, unit, 0);
        x = mtf_part_dense(&block, part, x, c->wide[i], MTF_ACT_RELU);
        if (i + 1 < c->n_wide) { /* above the last one stands a head, with a rate of its own */
            (void)snprintf(part, sizeof part, "%lld", (long long)(3 * i + 2));
            x = mtf_part_dropout(&block, part, x, c->dropout);
        }
        mtf_program_end_unit(p);
    }
    return x;
}

static mtf_status build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    vgg_config c;
    int32_t grids[MOST_BLOCKS + 1];
    const mtf_grid_window half = {2, 2, 0, 0};
    MTF_TRY(read_config(&c, config, err));
    grids[0] = mtf_program_grid(p, "pixels", MOST_PIXELS);
    mtf_program_rows_per_token(p, grids[0], PIXELS_PER_TOKEN);
    mtf_tensor_id x = mtf_program_input_rows(p, "pixels", grids[0], 3);
    for (int64_t b = 0; b < c.n_blocks; b++) {
        char name[32];
        (void)snprintf(name, sizeof name, "blocks.%lld", (long long)b);
        grids[b + 1] = mtf_program_grid_after(p, name, grids[b], half);
    }
    x = build_blocks(p, &c, grids, x);
    mtf_end_layers(p, c.n_blocks, x);
    const mtf_pooler wide = {.build = build_wide, .of = &c};
    return mtf_build_pooling(p, config, x, &wide, err);
}

const mtf_family mtf_family_vgg = {"vgg", build};
