/* rotary_attention.h: attention of rows to each other with rotary positions, its query, key and value
 * made by one product.
 *
 *   [q|k|v] = Wqkv x;  a = Wo attention(rotate q, rotate k, v)
 *
 * What ModernBERT, NomicBERT and GTE have in common.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_ROTARY_ATTENTION_H
#define MTF_MODEL_ROTARY_ATTENTION_H

#include "parts.h"

typedef struct mtf_rotary_attention {
    const char *qkv, *output; /* names of the two linear parts */
    int qkv_bias, output_bias;
    int64_t n_heads;
    int64_t rotary_width; /* columns of a head that are turned */
    double theta;
    int64_t reach; /* keys seen on either side; -1: all */
    double rate;   /* of dropping probabilities */
} mtf_rotary_attention;

/* `part` names the draws. */
mtf_tensor_id mtf_part_rotary_attention(const mtf_block *block, const char *part,
                                        const mtf_rotary_attention *of, mtf_tensor_id x);

/* Whether width is cut into heads of an even width; the message names the two keys. */
MTF_NODISCARD mtf_status mtf_check_rotary_heads(int64_t width, const char *width_key,
                                                int64_t n_heads, const char *heads_key,
                                                mtf_error *err);

#endif
