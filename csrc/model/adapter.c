/* adapter.c: adapters as a pass over a program; see adapter.h.
 *
 * The list of nodes is written anew. What an adapted layer gave is read by the adapter's node alone;
 * everybody else, named outputs too, reads that one's output in its stead. An activation that stood in
 * the layer's node becomes a node behind the adapter. A layer whose input is scaled leaves the node
 * that it shares with others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "adapter.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SITES = 1 << 16, PARTS = MTF_MAX_WEIGHTS / 2 };
#define NAME 320

typedef struct site {
    const char *name;
    int32_t weight; /* of the layer: index of its parameter */
    int64_t n, k;   /* its outputs and inputs */
    int64_t rank;
    double scale;
    int input;
    int32_t down, up; /* parameters; of ia3 the vector is `down` */
} site;

typedef struct adapter {
    mtf_program *program;
    int is_lora;
    double dropout;
    site *sites;
    int64_t n_sites;
    int32_t unit;
    int32_t *site_of;     /* (n_params of the backbone) index of its site, or -1 */
    mtf_tensor_id *moved; /* (tensors of the backbone) what is read in its stead */
} adapter;

static const char *key_of(int64_t i, const char *what, char key[64])
{
    (void)snprintf(key, 64, "adapter.%lld.%s", (long long)i, what);
    return key;
}

/* The linear node and part that multiply by a parameter; NULL: none does. */
static const mtf_node *find_layer(const mtf_program *p, int32_t weight)
{
    for (int32_t i = 0; i < p->n_nodes; i++) {
        for (int part = 0; part < PARTS; part++) {
            if (p->nodes[i].op == &mtf_op_linear && p->nodes[i].weight[2 * part] == weight) {
                return &p->nodes[i];
            }
        }
    }
    return NULL;
}

static mtf_status read_site(const adapter *a, const mtf_config *config, int64_t i, mtf_error *err)
{
    char key[64], name[NAME];
    site *s = &a->sites[i];
    *s = (site){.scale = 1, .down = -1, .up = -1};
    MTF_TRY(mtf_config_get_text(config, key_of(i, "site", key), &s->name, err));
    s->weight = -1;
    for (int f = 0; f < 2 && s->name != NULL && s->weight < 0; f++) {
        if (snprintf(name, NAME, f == 0 ? "backbone.%s.weight" : "%s.weight", s->name) < NAME) {
            s->weight = mtf_program_find_param(a->program, name);
        }
    }
    const mtf_node *node = s->weight >= 0 ? find_layer(a->program, s->weight) : NULL;
    if (node == NULL) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "an adapter cannot stand at \"%.200s\": it is no linear layer of this "
                        "backbone",
                        s->name != NULL ? s->name : "(none)");
    }
    if (a->site_of[s->weight] >= 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "an adapter stands at \"%.200s\" twice; name each linear layer once",
                        s->name);
    }
    a->site_of[s->weight] = (int32_t)i;
    const mtf_param_def *def = &a->program->params[s->weight];
    const int out_in = node->shape.attrs.layout == MTF_LAYOUT_OUT_IN;
    s->n = def->shape[out_in ? 0 : 1];
    s->k = def->shape[out_in ? 1 : 0];
    if (!a->is_lora) {
        return mtf_config_get_bool(config, key_of(i, "input", key), &s->input, err);
    }
    MTF_TRY(
        mtf_config_get_int(config, key_of(i, "rank", key), 1, INT64_C(1) << 16, 1, &s->rank, err));
    return mtf_config_get_real(config, key_of(i, "scale", key), -1e6, 1e6, &s->scale, err);
}

static mtf_status read_config(adapter *a, const mtf_config *config, mtf_error *err)
{
    const char *kind = NULL;
    MTF_TRY(mtf_config_get_text(config, "adapter", &kind, err));
    a->is_lora = kind != NULL && strcmp(kind, "lora") == 0;
    if (!a->is_lora && (kind == NULL || strcmp(kind, "ia3") != 0)) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "an adapter must be \"lora\" or \"ia3\", found \"%.100s\"",
                        kind != NULL ? kind : "(none)");
    }
    MTF_TRY(mtf_config_get_real(config, "adapter.dropout", 0, 0.999, &a->dropout, err));
    MTF_TRY(mtf_config_get_int(config, "adapter.n", 1, MOST_SITES, 1, &a->n_sites, err));
    const size_t n_params = (size_t)a->program->n_params;
    const size_t n_tensors = (size_t)a->program->n_tensors;
    a->sites = mtf_alloc_array((size_t)a->n_sites, sizeof *a->sites);
    a->site_of = mtf_alloc_array(n_params + 1, sizeof *a->site_of);
    a->moved = mtf_alloc_array(n_tensors + 1, sizeof *a->moved);
    if (a->sites == NULL || a->site_of == NULL || a->moved == NULL) {
        return mtf_fail_memory(err, (size_t)a->n_sites * sizeof *a->sites);
    }
    memset(a->site_of, 0xff, n_params * sizeof *a->site_of);
    for (size_t t = 0; t < n_tensors; t++) {
        a->moved[t] = (mtf_tensor_id)t;
    }
    for (int64_t i = 0; i < a->n_sites; i++) {
        MTF_TRY(read_site(a, config, i, err));
    }
    return MTF_OK;
}

/* A starts uniform in +-1/sqrt(K), as torch draws a linear layer, B at zero, vectors at one. */
static void declare(const adapter *a)
{
    char key[NAME + 32];
    mtf_program *p = a->program;
    for (int64_t i = 0; i < a->n_sites; i++) {
        site *s = &a->sites[i];
        if (!a->is_lora) {
            const int64_t size = s->input ? s->k : s->n;
            (void)snprintf(key, sizeof key, "ia3.%s.ia3_l", s->name);
            s->down = mtf_program_param(p, key, 1, &size, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ONE, 0);
            continue;
        }
        const int64_t down[2] = {s->rank, s->k};
        const int64_t up[2] = {s->n, s->rank};
        (void)snprintf(key, sizeof key, "lora.%s.lora_A.weight", s->name);
        s->down = mtf_program_param(p, key, 2, down, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_UNIFORM,
                                    1 / sqrt((double)s->k));
        (void)snprintf(key, sizeof key, "lora.%s.lora_B.weight", s->name);
        s->up = mtf_program_param(p, key, 2, up, MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO, 0);
    }
}

/* Copies a node of the backbone behind those that are there; its label goes with it. */
static int push(const adapter *a, const mtf_node *node)
{
    mtf_program *p = a->program;
    if (!MTF_GROW(p, nodes)) {
        return 0;
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (node->out[o] != MTF_NO_TENSOR) {
            p->tensors[node->out[o]].node = p->n_nodes;
        }
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        if (node->aux[i] != MTF_NO_TENSOR) {
            p->tensors[node->aux[i]].node = p->n_nodes;
        }
    }
    p->nodes[p->n_nodes++] = *node;
    return 1;
}

/* "<site> <the layer's node>": a layer that is applied several times draws anew each time. */
static const char *label_of(const site *s, const mtf_node *node, char label[2 * NAME])
{
    (void)snprintf(label, (size_t)2 * NAME, "%s %s", s->name, node->label);
    return label;
}

/* The adapter's node over y, what a layer gives for x, or over x itself. */
static mtf_tensor_id adapt(const adapter *a, const site *s, const mtf_node *node, mtf_tensor_id y,
                           mtf_tensor_id x)
{
    char label[2 * NAME];
    mtf_program *p = a->program;
    p->current_unit = a->unit;
    label_of(s, node, label);
    const mtf_tensor_id t =
        a->is_lora ? mtf_node_low_rank(p, label, y, x, s->down, s->up, s->scale, a->dropout)
                   : mtf_node_scale_columns(p, label, y, s->down);
    if (t != MTF_NO_TENSOR) {
        p->nodes[p->n_nodes - 1].host = node->unit;
    }
    return t;
}

/* A layer of its own that reads v x: part `part` of `node`, which it leaves. */
static void scale_input(const adapter *a, const mtf_node *node, int part)
{
    mtf_program *p = a->program;
    const site *s = &a->sites[a->site_of[node->weight[2 * part]]];
    const mtf_tensor_id x = adapt(a, s, node, node->in[0], MTF_NO_TENSOR);
    p->current_unit = node->unit;
    a->moved[node->out[part]] =
        mtf_node_linear(p, s->name, x, node->weight[2 * part], node->weight[2 * part + 1],
                        node->shape.attrs.activation);
}

/* Makes the linear node anew without the parts whose inputs are scaled; `kept` (PARTS): which stay. */
static void push_rest(const adapter *a, mtf_node *node, const int *kept, int drop_activation)
{
    int32_t weights[PARTS], biases[PARTS];
    mtf_tensor_id out[PARTS];
    int n = 0;
    for (int part = 0; part < PARTS; part++) {
        if (kept[part]) {
            weights[n] = node->weight[2 * part];
            biases[n++] = node->weight[2 * part + 1];
        }
    }
    if (n == 0) {
        return;
    }
    a->program->current_unit = node->unit;
    mtf_node_linears(a->program, node->label, node->in[0], n, weights, biases,
                     drop_activation ? MTF_ACT_NONE : node->shape.attrs.activation, out);
    n = 0;
    for (int part = 0; part < PARTS; part++) {
        if (kept[part]) {
            a->moved[node->out[part]] = out[n++];
        }
    }
}

/* A linear node with sites. */
static void push_adapted(const adapter *a, mtf_node *node)
{
    const mtf_activation activation = node->shape.attrs.activation;
    int kept[PARTS] = {0}, after[PARTS] = {0};
    for (int part = 0; part < PARTS; part++) {
        if (node->weight[2 * part] >= 0) {
            const int32_t at = a->site_of[node->weight[2 * part]];
            kept[part] = at < 0 || !a->sites[at].input;
            after[part] = at >= 0 && kept[part];
        }
    }
    push_rest(a, node, kept, after[0]);
    for (int part = 0; part < PARTS && a->program->failure.code == MTF_OK; part++) {
        if (after[part]) {
            const site *s = &a->sites[a->site_of[node->weight[2 * part]]];
            mtf_tensor_id *y = &a->moved[node->out[part]];
            *y = adapt(a, s, node, *y, node->in[0]);
            if (activation != MTF_ACT_NONE) {
                a->program->current_unit = node->unit;
                *y = mtf_node_activation(a->program, node->label, *y, activation);
            }
        } else if (node->weight[2 * part] >= 0 && !kept[part]) {
            scale_input(a, node, part);
        }
    }
    mtf_free(node->label);
}

static int has_site(const adapter *a, const mtf_node *node)
{
    for (int part = 0; node->op == &mtf_op_linear && part < PARTS; part++) {
        if (node->weight[2 * part] >= 0 && a->site_of[node->weight[2 * part]] >= 0) {
            return 1;
        }
    }
    return 0;
}

static void rewrite(const adapter *a)
{
    mtf_program *p = a->program;
    mtf_node *nodes = p->nodes;
    const int32_t n_nodes = p->n_nodes;
    p->nodes = NULL;
    p->n_nodes = p->capacity_nodes = 0;
    for (int32_t i = 0; i < n_nodes; i++) {
        mtf_node *node = &nodes[i];
        for (int k = 0; k < MTF_MAX_IN; k++) {
            if (node->in[k] != MTF_NO_TENSOR) {
                node->in[k] = a->moved[node->in[k]];
            }
        }
        if (p->failure.code != MTF_OK) {
            mtf_free(node->label); /* after a failure nothing is pushed any more */
        } else if (has_site(a, node)) {
            push_adapted(a, node);
        } else if (!push(a, node)) {
            mtf_free(node->label);
        }
    }
    mtf_free(nodes);
    for (int32_t i = 0; i < p->n_outputs; i++) {
        p->outputs[i].tensor = a->moved[p->outputs[i].tensor];
    }
}

mtf_status mtf_adapter_build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    adapter a = {.program = p};
    MTF_TRY(mtf_program_finish(p, err));
    mtf_status status = read_config(&a, config, err);
    if (status == MTF_OK) {
        mtf_program_unit(p, a.is_lora ? "lora" : "ia3", 0);
        a.unit = p->current_unit;
        declare(&a);
    }
    if (status == MTF_OK && p->failure.code == MTF_OK) {
        rewrite(&a);
        mtf_program_end_unit(p);
    }
    if (status == MTF_OK) {
        status = mtf_program_finish(p, err);
    }
    mtf_free(a.sites);
    mtf_free(a.site_of);
    mtf_free(a.moved);
    return status;
}
