/* activations.c: the names that configurations give activations, in the spelling of transformers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    mtf_activation activation;
} names[] = {
    {"gelu", MTF_ACT_GELU},
    {"gelu_new", MTF_ACT_GELU_NEW},
    {"gelu_pytorch_tanh", MTF_ACT_GELU_NEW},
    {"gelu_fast", MTF_ACT_GELU_NEW},
    {"quick_gelu", MTF_ACT_QUICK_GELU},
    {"relu", MTF_ACT_RELU},
    {"tanh", MTF_ACT_TANH},
    {"silu", MTF_ACT_SILU},
    {"swish", MTF_ACT_SILU},
};
#define N_NAMES (sizeof names / sizeof names[0])

mtf_status mtf_read_activation(const mtf_config *config, const char *key,
                               mtf_activation *activation, mtf_error *err)
{
    const char *found = NULL;
    char known[160] = "";
    MTF_TRY(mtf_config_get_text(config, key, &found, err));
    if (found == NULL) {
        return MTF_OK;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strcmp(names[i].name, found) == 0) {
            *activation = names[i].activation;
            return MTF_OK;
        }
        const size_t used = strlen(known);
        const char *between = i == 0 ? "" : i + 1 == N_NAMES ? " and " : ", ";
        (void)snprintf(known + used, sizeof known - used, "%s%s", between, names[i].name);
    }
    return mtf_fail(err, MTF_ERR_CONFIG, "%s \"%.100s\" is not supported; %s are", key, found,
                    known);
}
