/* fill.c: the slots that the AVX2 level implements; the others stay with the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

void mtf_kernels_fill_avx2(mtf_kernels *table);

void mtf_kernels_fill_avx2(mtf_kernels *table)
{
    table->gemm_nt = mtf_gemm_nt_f32_avx2;
    table->gemm_nn = mtf_gemm_nn_f32_avx2;
    table->gemm_tn = mtf_gemm_tn_f32_avx2;
    table->pack_f32 = mtf_pack_f32_f32_avx2;
    table->packed_f32 = mtf_packed_f32_f32_avx2;
    table->bias_act_fwd = mtf_bias_act_fwd_f32_avx2;
    table->column_affine = mtf_column_affine_f32_avx2;
    table->column_moments = mtf_column_moments_f32_avx2;
    table->column_dots = mtf_column_dots_f32_avx2;
    table->column_blend = mtf_column_blend_f32_avx2;
    table->taps_sum = mtf_taps_sum_f32_avx2;
    table->largest_halves = mtf_largest_halves_f32_avx2;
    table->taps_add = mtf_taps_add_f32_avx2;
    table->act_bwd = mtf_act_bwd_f32_avx2;
    table->packed_bf16 = mtf_packed_bf16_f32_avx2;
    table->packed_int8 = mtf_packed_int8_f32_avx2;
    table->column_sum = mtf_column_sum_f32_avx2;
    table->layernorm_fwd = mtf_layernorm_fwd_f32_avx2;
    table->layernorm_bwd_x = mtf_layernorm_bwd_x_f32_avx2;
    table->layernorm_bwd_w = mtf_layernorm_bwd_w_f32_avx2;
    table->rmsnorm_fwd = mtf_rmsnorm_fwd_f32_avx2;
    table->rmsnorm_bwd_x = mtf_rmsnorm_bwd_x_f32_avx2;
    table->rmsnorm_bwd_w = mtf_rmsnorm_bwd_w_f32_avx2;
    table->gated_fwd = mtf_gated_fwd_f32_avx2;
    table->gated_bwd = mtf_gated_bwd_f32_avx2;
    table->rotary_row = mtf_rotary_row_f32_avx2;
    table->attention_fwd = mtf_attention_fwd_f32_avx2;
    table->attention_bwd = mtf_attention_bwd_f32_avx2;
    table->dropout_row = mtf_dropout_row_f32_avx2;
    table->bf16_round = mtf_bf16_round_f32_avx2;
    table->bf16_widen = mtf_bf16_widen_f32_avx2;
    table->add_to = mtf_add_to_f32_avx2;
    table->sum_squares = mtf_sum_squares_f32_avx2;
    table->adamw = mtf_adamw_f32_avx2;
    table->vector_exp = mtf_vector_exp_f32_avx2;
    table->vector_erf = mtf_vector_erf_f32_avx2;
    table->vector_tanh = mtf_vector_tanh_f32_avx2;
    table->softmax_rows = mtf_softmax_rows_f32_avx2;
    table->exp_sum = mtf_exp_sum_f32_avx2;
    table->exp_add = mtf_exp_add_f32_avx2;
}
