/* batch_norm.c: the parameters of a convolution's batch norm; see parts.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

mtf_status mtf_read_batch_norm(const mtf_config *config, int *by_batch, mtf_error *err)
{
    const char *norm = "stored";
    MTF_TRY(mtf_config_get_text(config, "batch_norm", &norm, err));
    *by_batch = strcmp(norm, "batch") == 0;
    if (!*by_batch && strcmp(norm, "stored") != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "expected batch_norm as \"stored\" or \"batch\", found \"%.100s\"", norm);
    }
    return MTF_OK;
}

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
    const double share = spec->momentum;
    spec->mean = statistic(p, keys, "running_mean", width, MTF_INIT_ZERO, moves, share, -1);
    spec->variance =
        statistic(p, keys, "running_var", width, MTF_INIT_ONE, moves, share, spec->mean);
    if (moves) {
        spec->count =
            statistic(p, keys, "num_batches_tracked", 1, MTF_INIT_ZERO, moves, 0, spec->mean);
    }
}
