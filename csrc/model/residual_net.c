/* residual_net.c: residual networks over images; see residual_net.h.
 *
 * A basic block has two 3x3 convolutions, a bottleneck 1x1, 3x3, 1x1 around a quarter of its width. The
 * first block of a stage halves the grid (of the first stage: with downsample_in_first_stage), by its
 * 3x3, or with downsample_in_bottleneck by its first 1x1. The shortcut is x, or where size or width
 * change norm(conv1x1 x). Norms are batch norms: by their stored statistics (convolution.c), or with
 * batch_norm "batch" in units that train by those of the batch (batch_norm.c).
 * SPDX-License-Identifier: Apache-2.0 */
#include "residual_net.h"

#include "../base/status.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

enum { STEM_KERNEL = 7, POOL_KERNEL = 3, REDUCTION = 4 };
/* Of an image, 4,096 x 4,096: rows of no space are more. */
#define MOST_PIXELS (INT64_C(1) << 24)
/* Of a budget of tokens: 4,096 tokens are five images of 224 x 224, whose stem alone keeps as much as a
 * transformer does of as many tokens. */
#define PIXELS_PER_TOKEN 64

static mtf_status read_stages(mtf_residual_net *c, const mtf_config *config, mtf_error *err)
{
    const int64_t *depths = NULL;
    const int64_t *widths = NULL;
    size_t n_depths = 0;
    size_t n_widths = 0;
    MTF_TRY(mtf_config_get_ints(config, "depths", &depths, &n_depths, err));
    MTF_TRY(mtf_config_get_ints(config, "hidden_sizes", &widths, &n_widths, err));
    if (n_depths < 1 || n_depths > MTF_MOST_STAGES || n_widths != n_depths) {
        return mtf_fail(
            err, MTF_ERR_CONFIG,
            "expected depths and hidden_sizes of the same 1 to %d stages, found %zu and "
            "%zu; correct the configuration",
            (int)MTF_MOST_STAGES, n_depths, n_widths);
    }
    for (size_t s = 0; s < n_depths; s++) {
        if (depths[s] < 1 || depths[s] > 4096 || widths[s] < 1 || widths[s] > MTF_MOST_WIDE) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "expected depths from 1 to 4096 and hidden_sizes from 1 to %lld, found "
                            "%lld and %lld in stage %zu; correct the configuration",
                            (long long)MTF_MOST_WIDE, (long long)depths[s], (long long)widths[s],
                            s);
        }
        c->depths[s] = depths[s];
        c->widths[s] = widths[s];
        if (c->bottleneck && widths[s] < REDUCTION) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "expected hidden_sizes of at least %d for bottlenecks, found %lld in "
                            "stage %zu; correct the configuration",
                            (int)REDUCTION, (long long)widths[s], s);
        }
    }
    c->n_stages = (int64_t)n_depths;
    return MTF_OK;
}

mtf_status mtf_residual_read(mtf_residual_net *c, const mtf_config *config, mtf_error *err)
{
    const char *type = "bottleneck";
    *c = (mtf_residual_net){.channels = 3, .embedding = 64};
    MTF_TRY(mtf_config_get_int(config, "num_channels", 1, 4096, 0, &c->channels, err));
    MTF_TRY(mtf_config_get_int(config, "embedding_size", 1, MTF_MOST_WIDE, 0, &c->embedding, err));
    MTF_TRY(mtf_config_get_text(config, "layer_type", &type, err));
    MTF_TRY(mtf_config_get_bool(config, "downsample_in_first_stage", &c->halves_first_stage, err));
    MTF_TRY(mtf_config_get_bool(config, "downsample_in_bottleneck", &c->halves_in_first, err));
    MTF_TRY(mtf_read_batch_norm(config, &c->by_batch, err));
    c->bottleneck = strcmp(type, "bottleneck") == 0;
    if (!c->bottleneck && strcmp(type, "basic") != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "expected layer_type as \"basic\" or \"bottleneck\", found \"%.100s\"; "
                        "correct the configuration",
                        type);
    }
    return read_stages(c, config, err);
}

/* What a convolution with its norm does beside its sizes. */
typedef struct conv_part {
    int64_t width, kernel, stride;
    int32_t grid;
    mtf_activation activation;
    int by_batch;
} conv_part;

/* act(norm(conv x) + residual), its parameters in "<keys>.convolution" and "<keys>.normalization". */
static mtf_tensor_id build_conv(mtf_program *p, const char *keys, mtf_tensor_id x,
                                mtf_tensor_id residual, const conv_part *part)
{
    char key[MTF_PART_NAME];
    const int64_t inputs = x != MTF_NO_TENSOR ? p->tensors[x].width : 1;
    const int64_t shape[4] = {part->width, inputs, part->kernel, part->kernel};
    (void)snprintf(key, sizeof key, "%s.convolution.weight", keys);
    const int32_t weight =
        mtf_program_param(p, key, 4, shape, MTF_LAYOUT_TAPS, 1, MTF_INIT_ZERO, 0);
    mtf_convolution_spec spec = {.kernel = part->kernel,
                                 .stride = part->stride,
                                 .padding = part->kernel / 2,
                                 .grid = part->grid,
                                 .weight = weight,
                                 .bias = -1,
                                 .by_batch = part->by_batch,
                                 .momentum = MTF_NORM_MOMENTUM,
                                 .eps = MTF_NORM_EPS,
                                 .activation = part->activation};
    (void)snprintf(key, sizeof key, "%s.normalization", keys);
    mtf_part_batch_norm(p, key, part->width, &spec);
    return mtf_node_convolution(p, keys, x, residual, &spec);
}

/* Two texts and a number in `name`, which is returned. */
static const char *numbered(char name[MTF_PART_NAME], const char *before, const char *part,
                            int64_t number)
{
    (void)snprintf(name, MTF_PART_NAME, "%s.%s%lld", before, part, (long long)number);
    return name;
}

/* Block `keys` over x, whose rows lie in `from`, to `width` columns in the grid `to`. */
static mtf_tensor_id build_block(mtf_program *p, const mtf_residual_net *c, const char *keys,
                                 mtf_tensor_id x, int64_t width, int64_t stride, int32_t from,
                                 int32_t to)
{
    char name[MTF_PART_NAME];
    mtf_tensor_id shortcut = x;
    if (x != MTF_NO_TENSOR && (p->tensors[x].width != width || stride != 1)) {
        (void)snprintf(name, sizeof name, "%s.shortcut", keys);
        const conv_part part = {width, 1, stride, to, MTF_ACT_NONE, c->by_batch};
        shortcut = build_conv(p, name, x, MTF_NO_TENSOR, &part);
    }
    if (!c->bottleneck) {
        const conv_part first = {width, 3, stride, to, MTF_ACT_RELU, c->by_batch};
        const conv_part second = {width, 3, 1, to, MTF_ACT_RELU, c->by_batch};
        x = build_conv(p, numbered(name, keys, "layer.", 0), x, MTF_NO_TENSOR, &first);
        return build_conv(p, numbered(name, keys, "layer.", 1), x, shortcut, &second);
    }
    const int early = c->halves_in_first;
    const conv_part narrow = {width / REDUCTION, 1,          early ? stride : 1, early ? to : from,
                              MTF_ACT_RELU,      c->by_batch};
    const conv_part square = {width / REDUCTION, 3,          early ? 1 : stride, to,
                              MTF_ACT_RELU,      c->by_batch};
    const conv_part wide = {width, 1, 1, to, MTF_ACT_RELU, c->by_batch};
    x = build_conv(p, numbered(name, keys, "layer.", 0), x, MTF_NO_TENSOR, &narrow);
    x = build_conv(p, numbered(name, keys, "layer.", 1), x, MTF_NO_TENSOR, &square);
    return build_conv(p, numbered(name, keys, "layer.", 2), x, shortcut, &wide);
}

/* The spaces of the stem's two grids and of each stage's. */
typedef struct grids {
    int32_t stem, stages[MTF_MOST_STAGES + 1]; /* stages[0]: what the first one reads */
} grids;

/* One halved by a 3x3 with a border of 1 has the sides that a 1x1 without one gives, too. */
static grids declare_grids(mtf_program *p, const mtf_residual_net *c, int32_t pixels)
{
    const mtf_grid_window stem = {STEM_KERNEL, 2, STEM_KERNEL / 2, 0};
    const mtf_grid_window half = {POOL_KERNEL, 2, 1, 0};
    grids g = {.stem = mtf_program_grid_after(p, "stem", pixels, stem)};
    g.stages[0] = mtf_program_grid_after(p, "stem.pooled", g.stem, half);
    for (int64_t s = 0; s < c->n_stages; s++) {
        char name[32];
        (void)snprintf(name, sizeof name, "stages.%lld", (long long)s);
        g.stages[s + 1] = s > 0 || c->halves_first_stage
                              ? mtf_program_grid_after(p, name, g.stages[s], half)
                              : g.stages[s];
    }
    return g;
}

static mtf_tensor_id build_stages(mtf_program *p, const mtf_residual_net *c, const char *prefix,
                                  const grids *g, mtf_tensor_id x)
{
    char unit[64];
    char keys[128]; /* short enough that names of parts fit behind */
    char output[32];
    for (int64_t s = 0; s < c->n_stages; s++) {
        (void)snprintf(output, sizeof output, "hidden_states.%lld", (long long)s);
        mtf_program_output(p, output, x);
        for (int64_t b = 0; b < c->depths[s]; b++) {
            const int32_t from = g->stages[b == 0 ? s : s + 1];
            (void)snprintf(unit, sizeof unit, "backbone.stages[%lld].blocks[%lld]", (long long)s,
                           (long long)b);
            (void)snprintf(keys, sizeof keys, "%s.encoder.stages.%lld.layers.%lld", prefix,
                           (long long)s, (long long)b);
            mtf_program_unit(p, unit, 0);
            x = build_block(p, c, keys, x, c->widths[s], from == g->stages[s + 1] ? 1 : 2, from,
                            g->stages[s + 1]);
            mtf_program_end_unit(p);
        }
    }
    return x;
}

mtf_tensor_id mtf_residual_build(mtf_program *p, const mtf_residual_net *c, const char *keys)
{
    char name[MTF_PART_NAME];
    const int32_t space = mtf_program_grid(p, "pixels", MOST_PIXELS);
    mtf_program_rows_per_token(p, space, PIXELS_PER_TOKEN);
    mtf_tensor_id x = mtf_program_input_rows(p, "pixels", space, c->channels);
    const grids g = declare_grids(p, c, space);
    const conv_part stem = {c->embedding, STEM_KERNEL, 2, g.stem, MTF_ACT_RELU, c->by_batch};
    mtf_program_unit(p, "backbone.stem", 0);
    (void)snprintf(name, sizeof name, "%s.embedder.embedder", keys);
    x = build_conv(p, name, x, MTF_NO_TENSOR, &stem);
    (void)snprintf(name, sizeof name, "%s.embedder.pooler", keys);
    x = mtf_node_grid_max_pool(p, name, x, POOL_KERNEL, 2, 1, g.stages[0]);
    mtf_program_end_unit(p);
    return build_stages(p, c, keys, &g, x);
}
