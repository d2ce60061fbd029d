/* batch_norm.c: the parameters of a convolution's batch norm; see parts.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <stdio.h>

/* Of the batch's statistics in those that are stored: torch.nn.BatchNorm2d's. */
#define MOMENTUM 0.1

static int32_t trained(mtf_program *p, const char *keys, const char *kind, int64_t n, mtf_init init)
{
    char key[MTF_PART_NAME];
    (void)snprintf(key, sizeof key, "%s.%s", keys, kind);
    return mtf_program_param(p, key, 1, &n, MTF_LAYOUT_OUT_IN, 0, init, 0);
}

static int32_t statistic(mtf_program *p, const char *keys, const char *kind, int64_t n,
                         mtf_init init, int by_batch, double momentum, int32_t moves_with)
{
    char key[MTF_PART_NAME];
    (void)snprintf(key, sizeof key, "%s.%s", keys, kind);
    return by_batch ? mtf_program_statistic(p, key, n, init, momentum, moves_with)
                    : mtf_program_buffer(p, key, n, init);
}

void mtf_part_batch_norm(mtf_program *p, const char *keys, int64_t width,
                         mtf_convolution_spec *spec)
{
    const int moves = spec->by_batch;
    spec->norm_weight = trained(p, keys, "weight", width, MTF_INIT_ONE);
    spec->norm_bias = trained(p, keys, "bias", width, MTF_INIT_ZERO);
    spec->mean = statistic(p, keys, "running_mean", width, MTF_INIT_ZERO, moves, MOMENTUM, -1);
    spec->variance =
        statistic(p, keys, "running_var", width, MTF_INIT_ONE, moves, MOMENTUM, spec->mean);
    if (moves) {
        spec->count =
            statistic(p, keys, "num_batches_tracked", 1, MTF_INIT_ZERO, moves, 0, spec->mean);
    }
}
