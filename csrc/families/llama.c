/* llama.c: Llama, Qwen2 and Qwen3 decoders from config.json (Touvron et al. 2023), pre-norm, causal.
 *
 *   x = word[id]
 *   n = RMSNorm(x)
 *   q, k, v = Wq n, Wk n, Wv n                      k and v of n_kv_heads heads
 *   q, k = RMSNorm over each head of q, k           Qwen3
 *   x = x + Wo attention(rotary(q), rotary(k), v)
 *   x = x + Wdown(silu(Wgate RMSNorm(x)) * Wup RMSNorm(x))
 *   hidden = RMSNorm(x)                             after the last layer
 *
 * Biases: of all four projections with attention_bias (Llama, Qwen3), of q, k and v always (Qwen2), of
 * the feed-forward's three with mlp_bias. Parameter keys are the hub's tensor names behind
 * "backbone." (without "model."). SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <math.h>

extern const mtf_family mtf_family_llama;
extern const mtf_family mtf_family_qwen2;
extern const mtf_family mtf_family_qwen3;

/* What one of the three does unlike the others. */
typedef struct llama_kind {
    int qkv_biases;   /* whatever the configuration says */
    int head_norms;   /* of q and k */
    int reads_biases; /* attention_bias and mlp_bias */
} llama_kind;

typedef struct llama_config {
    llama_kind kind;
    mtf_backbone_sizes size;
    int64_t n_kv_heads, head_width;
    double eps, theta, attention_dropout;
    int qkv_bias, output_bias, ffn_bias;
    mtf_activation activation;
} llama_config;

static mtf_status read_config(llama_config *c, const mtf_config *config, llama_kind kind,
                              mtf_error *err)
{
    *c = (llama_config){.kind = kind, .eps = 1e-6, .theta = 10000, .activation = MTF_ACT_SILU};
    MTF_TRY(mtf_read_sizes(&c->size, config, err));
    c->n_kv_heads = c->size.n_heads;
    MTF_TRY(mtf_config_get_int(config, "num_key_value_heads", 1, 4096, 0, &c->n_kv_heads, err));
    c->head_width = c->size.width / c->size.n_heads;
    MTF_TRY(mtf_config_get_int(config, "head_dim", 2, 4096, 0, &c->head_width, err));
    MTF_TRY(mtf_config_get_eps(config, "rms_norm_eps", &c->eps, err));
    MTF_TRY(mtf_config_get_real(config, "rope_theta", 1, 1e12, &c->theta, err));
    MTF_TRY(mtf_config_get_real(config, "attention_dropout", 0, 0.999, &c->attention_dropout, err));
    c->qkv_bias = kind.qkv_biases;
    if (kind.reads_biases) {
        MTF_TRY(mtf_config_get_bool(config, "attention_bias", &c->output_bias, err));
        MTF_TRY(mtf_config_get_bool(config, "mlp_bias", &c->ffn_bias, err));
        c->qkv_bias = c->output_bias;
    }
    MTF_TRY(mtf_read_activation(config, "hidden_act", &c->activation, err));
    if (c->size.n_heads % c->n_kv_heads != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "num_attention_heads %lld is not a multiple of num_key_value_heads %lld; "
                        "correct config.json",
                        (long long)c->size.n_heads, (long long)c->n_kv_heads);
    }
    if (c->head_width < 2 || c->head_width % 2 != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head_dim %lld is not even, so positions cannot turn its halves; correct "
                        "config.json",
                        (long long)c->head_width);
    }
    return MTF_OK;
}

static mtf_tensor_id build_embeddings(mtf_program *p, const llama_config *c)
{
    const mtf_block block = {.program = p, .keys = "backbone", .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", c->size.positions);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->size.vocabulary, 0);
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int32_t word = mtf_part_weight(&block, "embed_tokens", c->size.vocabulary, c->size.width);
    const mtf_tensor_id x =
        mtf_node_embedding(p, "backbone.embeddings", ids, MTF_NO_TENSOR, word, -1, -1, 0, -1);
    mtf_program_end_unit(p);
    return x;
}

/* x + attention of n, the normalised x: the sum is made by the norm that reads it. */
static mtf_tensor_id build_attention(const mtf_block *block, const llama_config *c, mtf_tensor_id n)
{
    static const char *const names[3] = {"self_attn.q_proj", "self_attn.k_proj",
                                         "self_attn.v_proj"};
    static const char *const norms[2] = {"self_attn.q_norm", "self_attn.k_norm"};
    const int64_t heads[3] = {c->size.n_heads, c->n_kv_heads, c->n_kv_heads};
    const mtf_attention_spec spec = {.n_heads = (int32_t)c->size.n_heads,
                                     .n_kv_heads = (int32_t)c->n_kv_heads,
                                     .head_width = c->head_width,
                                     .left = -1,
                                     .right = 0,
                                     .scale = 1 / sqrt((double)c->head_width),
                                     .rate = c->attention_dropout,
                                     .relative = -1};
    char label[MTF_PART_NAME];
    int64_t widths[3];
    mtf_tensor_id x[3];
    for (int i = 0; i < 3; i++) {
        widths[i] = heads[i] * c->head_width;
    }
    mtf_part_linears(block, "self_attn", n, 3, names, widths, c->qkv_bias, x);
    for (int i = 0; i < 2; i++) {
        if (c->kind.head_norms) {
            x[i] =
                mtf_part_rmsnorm(block, norms[i], x[i], MTF_NO_TENSOR, c->head_width, c->eps, NULL);
        }
        mtf_part_label(block, i == 0 ? "query rotary" : "key rotary", label);
        x[i] = mtf_node_rotary(block->program, label, x[i], (int32_t)heads[i], c->head_width,
                               c->head_width, c->theta);
    }
    mtf_part_label(block, "attention", label);
    const mtf_tensor_id y = mtf_node_attention(block->program, label, x[0], x[1], x[2], &spec);
    return mtf_part_linear(block, "self_attn.o_proj", y, c->size.width, c->output_bias,
                           MTF_ACT_NONE);
}

static mtf_tensor_id build_layer(const mtf_block *block, const void *of, int64_t index,
                                 mtf_tensor_id x)
{
    static const char *const names[2] = {"mlp.gate_proj", "mlp.up_proj"};
    const llama_config *c = of;
    const int64_t widths[2] = {c->size.ffn, c->size.ffn};
    char label[MTF_PART_NAME];
    mtf_tensor_id both[2];
    (void)index;
    mtf_tensor_id n = mtf_part_rmsnorm(block, "input_layernorm", x, MTF_NO_TENSOR, 0, c->eps, NULL);
    n = build_attention(block, c, n);
    n = mtf_part_rmsnorm(block, "post_attention_layernorm", n, x, 0, c->eps, &x);
    mtf_part_linears(block, "mlp", n, 2, names, widths, c->ffn_bias, both);
    n = mtf_node_gated(block->program, mtf_part_label(block, "mlp gated", label), both[0], both[1],
                       c->activation, 0);
    n = mtf_part_linear(block, "mlp.down_proj", n, c->size.width, c->ffn_bias, MTF_ACT_NONE);
    return mtf_node_add(block->program, mtf_part_label(block, "sum", label), x, n);
}

static mtf_status build(mtf_program *p, const mtf_config *config, llama_kind kind, mtf_error *err)
{
    llama_config c;
    MTF_TRY(read_config(&c, config, kind, err));
    mtf_tensor_id x = build_embeddings(p, &c);
    x = mtf_build_layers(p, "backbone.layers", c.size.n_layers, build_layer, &c, x);
    const mtf_block block = {.program = p, .keys = "backbone", .label = "backbone.final_norm"};
    mtf_begin_final_norm(p, x);
    x = mtf_part_rmsnorm(&block, "norm", x, MTF_NO_TENSOR, 0, c.eps, NULL);
    mtf_end_final_norm(p, c.size.n_layers, x);
    return mtf_build_pooling(p, config, x, NULL, err);
}

static mtf_status build_llama(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    return build(p, config, (llama_kind){.reads_biases = 1}, err);
}

static mtf_status build_qwen2(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    return build(p, config, (llama_kind){.qkv_biases = 1}, err);
}

static mtf_status build_qwen3(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    return build(p, config, (llama_kind){.head_norms = 1, .reads_biases = 1}, err);
}

const mtf_family mtf_family_llama = {"llama", build_llama};
const mtf_family mtf_family_qwen2 = {"qwen2", build_qwen2};
const mtf_family mtf_family_qwen3 = {"qwen3", build_qwen3};
