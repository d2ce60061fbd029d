/* rotary_attention.c: see rotary_attention.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rotary_attention.h"

#include "../base/status.h"

#include <math.h>

mtf_tensor_id mtf_part_rotary_attention(const mtf_block *block, const char *part,
                                        const mtf_rotary_attention *of, mtf_tensor_id x)
{
    char label[MTF_PART_NAME];
    const int64_t width = x != MTF_NO_TENSOR ? block->program->tensors[x].width : of->n_heads;
    const int64_t head = width / of->n_heads;
    const mtf_attention_spec spec = {.n_heads = (int32_t)of->n_heads,
                                     .left = of->reach,
                                     .right = of->reach,
                                     .scale = 1.0 / sqrt((double)head),
                                     .rate = of->rate,
                                     .relative = -1};
    mtf_tensor_id qkv = mtf_part_linear(block, of->qkv, x, 3 * width, of->qkv_bias, MTF_ACT_NONE);
    qkv = mtf_node_rotary(block->program, mtf_part_label(block, "rotary", label), qkv,
                          (int32_t)(2 * of->n_heads), head, of->rotary_width, of->theta);
    const mtf_tensor_id a = mtf_node_attention(block->program, mtf_part_label(block, part, label),
                                               qkv, MTF_NO_TENSOR, MTF_NO_TENSOR, &spec);
    return mtf_part_linear(block, of->output, a, width, of->output_bias, MTF_ACT_NONE);
}

mtf_status mtf_check_rotary_heads(int64_t width, const char *width_key, int64_t n_heads,
                                  const char *heads_key, mtf_error *err)
{
    MTF_TRY(mtf_check_heads(width, width_key, n_heads, heads_key, err));
    if (width / n_heads % 2 != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "%s %lld over %s %lld makes heads of %lld columns, which rotary positions "
                        "cannot halve; correct config.json",
                        width_key, (long long)width, heads_key, (long long)n_heads,
                        (long long)(width / n_heads));
    }
    return MTF_OK;
}
