/* fill.c: the slots that the AVX-512 level implements; the others stay with the level below.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"

void mtf_kernels_fill_avx512(mtf_kernels *table);

void mtf_kernels_fill_avx512(mtf_kernels *table)
{
    table->pack_f32 = mtf_pack_f32_f32_avx512;
    table->pack_bf16 = mtf_pack_bf16_f32_avx512;
    table->pack_int8 = mtf_pack_int8_f32_avx512;
    table->packed_f32 = mtf_packed_f32_f32_avx512;
    table->bias_act_fwd = mtf_bias_act_fwd_f32_avx512;
    table->act_bwd = mtf_act_bwd_f32_avx512;
    table->layernorm_fwd = mtf_layernorm_fwd_f32_avx512;
    table->layernorm_bwd_x = mtf_layernorm_bwd_x_f32_avx512;
    table->layernorm_bwd_w = mtf_layernorm_bwd_w_f32_avx512;
    table->copy_runs = mtf_copy_runs_f32_avx512;
    table->attention_fwd = mtf_attention_fwd_f32_avx512;
    table->attention_bwd = mtf_attention_bwd_f32_avx512;
    table->dropout_row = mtf_dropout_row_f32_avx512;
    table->vector_exp = mtf_vector_exp_f32_avx512;
    table->vector_erf = mtf_vector_erf_f32_avx512;
    table->vector_tanh = mtf_vector_tanh_f32_avx512;
    table->softmax_rows = mtf_softmax_rows_f32_avx512;
    table->exp_sum = mtf_exp_sum_f32_avx512;
    table->exp_add = mtf_exp_add_f32_avx512;
}
