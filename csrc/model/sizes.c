/* sizes.c: the sizes that most configurations name alike, and what heads ask of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "parts.h"

mtf_status mtf_read_sizes(mtf_backbone_sizes *s, const mtf_config *config, mtf_error *err)
{
    MTF_TRY(mtf_config_get_int(config, "hidden_size", 1, MTF_MOST_WIDE, 1, &s->width, err));
    MTF_TRY(mtf_config_get_int(config, "num_hidden_layers", 1, 4096, 1, &s->n_layers, err));
    MTF_TRY(mtf_config_get_int(config, "num_attention_heads", 1, 4096, 1, &s->n_heads, err));
    MTF_TRY(mtf_config_get_int(config, "intermediate_size", 1, MTF_MOST_WIDE, 1, &s->ffn, err));
    MTF_TRY(mtf_config_get_int(config, "vocab_size", 1, MTF_MOST_WIDE, 1, &s->vocabulary, err));
    return mtf_config_get_int(config, "max_position_embeddings", 1, MTF_MOST_WIDE, 1, &s->positions,
                              err);
}

mtf_status mtf_check_heads(int64_t width, const char *width_key, int64_t n_heads,
                           const char *heads_key, mtf_error *err)
{
    if (width % n_heads != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "%s %lld is not a multiple of %s %lld; correct config.json", width_key,
                        (long long)width, heads_key, (long long)n_heads);
    }
    return MTF_OK;
}
