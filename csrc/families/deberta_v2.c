/* deberta_v2.c: DeBERTa-v2 and -v3 (He et al. 2021): BERT whose tokens attend to contents and to
 * distances (ops/disentangled.c).
 *
 * A table has a row for each distance, or for each bucket of them (position_buckets). All layers read it
 * through one norm (norm_rel_ebd): the two are the unit "backbone.relative_bias", below all layers.
 * What it is multiplied by are the projections of contents (share_att_key) or layers of their own.
 * Values of its rows are dropped anew in each layer and for each sequence, where transformers draws once
 * for a whole batch: so a step does not depend on how it is cut.
 * Where position_biased_input is false there are no positions in the embeddings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_deberta_v2;

typedef struct deberta_config {
    mtf_encoder encoder;
    int64_t buckets, max_distance; /* position_buckets, max_relative_positions; resolved */
    int normed, shared, by_key, by_query;
} deberta_config;

static mtf_encoder_form deberta_form(void)
{
    mtf_encoder_form form = mtf_bert_form;
    form.keys.n_types = NULL;
    form.eps = 1e-7;
    form.query = "attention.self.query_proj";
    form.key = "attention.self.key_proj";
    form.value = "attention.self.value_proj";
    return form;
}

static mtf_status read_distances(deberta_config *c, const mtf_config *config, mtf_error *err)
{
    int attends = 0;
    c->buckets = c->max_distance = -1;
    MTF_TRY(mtf_config_get_bool(config, "relative_attention", &attends, err));
    MTF_TRY(mtf_config_get_int(config, "position_buckets", -1, MTF_MOST_WIDE, 0, &c->buckets, err));
    MTF_TRY(mtf_config_get_int(config, "max_relative_positions", -1, MTF_MOST_WIDE, 0,
                               &c->max_distance, err));
    MTF_TRY(mtf_config_get_bool(config, "share_att_key", &c->shared, err));
    MTF_TRY(mtf_config_get_bool(config, "norm_distances", &c->normed, err));
    MTF_TRY(mtf_config_get_bool(config, "c2p", &c->by_key, err));
    MTF_TRY(mtf_config_get_bool(config, "p2c", &c->by_query, err));
    if (!attends || !(c->by_key || c->by_query)) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "relative_attention must be true and pos_att_type name \"c2p\" or \"p2c\"; "
                        "models without either are not supported");
    }
    if (c->max_distance < 1) {
        c->max_distance = c->encoder.n_positions;
    }
    if (c->buckets > 0 && (c->buckets < 4 || c->max_distance - 1 <= c->buckets / 2)) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "position_buckets %lld must be at least 4, and its half below "
                        "max_relative_positions %lld - 1; correct config.json",
                        (long long)c->buckets, (long long)c->max_distance);
    }
    return MTF_OK;
}

static mtf_status read_config(deberta_config *c, mtf_encoder_form *form, const mtf_config *config,
                              mtf_error *err)
{
    int positions = 1;
    int64_t n_types = 0;
    MTF_TRY(mtf_config_get_bool(config, "position_biased_input", &positions, err));
    MTF_TRY(mtf_config_get_int(config, "type_vocab_size", 0, 4096, 0, &n_types, err));
    form->position = positions ? form->position : NULL;
    form->type = n_types > 0 ? form->type : NULL;
    MTF_TRY(mtf_encoder_read(&c->encoder, form, config, err));
    c->encoder.n_types = n_types;
    c->encoder.reads_types = n_types > 0;
    return read_distances(c, config, err);
}

/* One side of the table's rows, normed. */
static mtf_tensor_id build_side(mtf_program *p, const deberta_config *c, const char *label,
                                int looks_back)
{
    const int bucketed = c->buckets > 0;
    const int64_t span = bucketed ? c->buckets : c->max_distance;
    const mtf_block block = {.program = p, .keys = "backbone.encoder", .label = label};
    const int32_t table = mtf_part_weight(&block, "rel_embeddings", 2 * span, c->encoder.width);
    const mtf_tensor_id x =
        mtf_node_distance_rows(p, label, mtf_program_find_input(p, "ids"), table, span,
                               bucketed ? c->max_distance : 0, looks_back);
    return c->normed ? mtf_part_norm(&block, "LayerNorm", x, MTF_NO_TENSOR, c->encoder.eps) : x;
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    deberta_config c = {0};
    mtf_encoder_form form = deberta_form();
    MTF_TRY(read_config(&c, &form, config, err));
    mtf_tensor_id x = mtf_encoder_embeddings(program, &c.encoder);
    mtf_program_unit(program, "backbone.relative_bias", 0);
    const mtf_distances_part distances = {
        .ahead = build_side(program, &c, "backbone.relative_bias ahead", 0),
        .back = build_side(program, &c, "backbone.relative_bias back", 1),
        .key = !c.by_key  ? NULL
               : c.shared ? form.key
                          : "attention.self.pos_key_proj",
        .query = !c.by_query ? NULL
                 : c.shared  ? form.query
                             : "attention.self.pos_query_proj",
        .rate = c.encoder.dropout};
    mtf_program_end_unit(program);
    c.encoder.distances = &distances;
    x = mtf_encoder_layers(program, &c.encoder, x);
    return mtf_build_pooling(program, config, x, NULL, err);
}

const mtf_family mtf_family_deberta_v2 = {"deberta-v2", build};
