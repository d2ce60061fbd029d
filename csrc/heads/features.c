/* features.c: what a head reads of its backbone, as rows of its row space.
 *
 * Features are a named output; with a pooling of the head's own that of "hidden"; "hidden_states.<k>", what
 * layer k is given; or "mix", all of these by learned shares (ops/layer_mix.c; parameters "<head>.mix.weight"
 * and ".gamma"). Heads of texts read layers pooled, each by itself and outside every unit: a frozen
 * backbone then hands on a row a text and layer. Such an output says what it is, "mean(hidden_states.3)".
 * A head of the row space of another input than its features picks its rows from them; one of pairs puts
 * rows of two sequences together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

#include <stdio.h>
#include <string.h>

/* Layers of a mix; a bound on what its list takes. */
#define MOST_MIXED 256
#define STATES     "hidden_states."

/* What a head asks for. */
typedef struct wish {
    const char *name, *features, *pooling, *space;
} wish;

static mtf_tensor_id find_positions(const mtf_program *p)
{
    return mtf_program_find_input(p, MTF_HEAD_PICKED ".positions");
}

static int is_mix(const wish *w)
{
    return strcmp(w->features, "mix") == 0;
}

static int reads_layers(const wish *w)
{
    return is_mix(w) || strncmp(w->features, STATES, strlen(STATES)) == 0;
}

static mtf_status no_output(const wish *w, const char *wanted, mtf_error *err)
{
    return mtf_fail(
        err, MTF_ERR_CONFIG,
        "head \"%s\" reads \"%.100s\", which this backbone does not have; use "
        "\"pooled\", \"embedding\", \"hidden\", \"mix\" or \"hidden_states.0\" and so on",
        w->name, wanted);
}

static mtf_status no_pooling(const wish *w, const char *pooling, mtf_error *err)
{
    return mtf_fail(err, MTF_ERR_CONFIG,
                    "pooling of head \"%s\" must be \"mean\", \"cls\", \"max\", "
                    "\"mean_sqrt_len_tokens\", \"weightedmean\" or \"lasttoken\", found \"%.100s\"",
                    w->name, pooling);
}

/* The output `state` as the head reads it: for one of texts or of pairs a pooled one, which is made
 * unless another head has. Outside every unit. */
static mtf_status layer_rows(mtf_program *p, const wish *w, const char *state, mtf_tensor_id *x,
                             mtf_error *err)
{
    char pooled[160];
    *x = mtf_program_find_output(p, state);
    if (*x == MTF_NO_TENSOR) {
        return no_output(w, state, err);
    }
    if (strcmp(w->space, "sequences") != 0 && strcmp(w->space, MTF_HEAD_PAIRS) != 0) {
        return MTF_OK;
    }
    const char *pooling = w->pooling != NULL ? w->pooling : "mean";
    (void)snprintf(pooled, sizeof pooled, "%s(%s)", pooling, state);
    const mtf_tensor_id known = mtf_program_find_output(p, pooled);
    if (known != MTF_NO_TENSOR) {
        *x = known;
        return MTF_OK;
    }
    *x = mtf_build_pool(p, pooled, pooling, *x);
    if (*x == MTF_NO_TENSOR) {
        return p->failure.code == MTF_OK ? no_pooling(w, pooling, err) : MTF_OK;
    }
    mtf_program_output(p, pooled, *x);
    return MTF_OK;
}

/* The layers that the head reads, in order: one, or of a mix all (n of at most MOST_MIXED). */
static mtf_status find_layers(mtf_program *p, const wish *w, mtf_tensor_id *layers, int64_t *n,
                              mtf_error *err)
{
    char state[64];
    *n = 1;
    if (!is_mix(w)) {
        return layer_rows(p, w, w->features, &layers[0], err);
    }
    for (*n = 0; *n < MOST_MIXED; (*n)++) {
        (void)snprintf(state, sizeof state, STATES "%lld", (long long)*n);
        if (*n > 0 && mtf_program_find_output(p, state) == MTF_NO_TENSOR) {
            return MTF_OK;
        }
        MTF_TRY(layer_rows(p, w, state, &layers[*n], err));
    }
    return mtf_fail(err, MTF_ERR_CONFIG,
                    "head \"%s\" mixes the layers of its backbone, at most %d; found more; read "
                    "one of them",
                    w->name, MOST_MIXED - 1);
}

/* What the head reads of these layers, within its unit. */
static mtf_tensor_id of_layers(mtf_program *p, const wish *w, int64_t n,
                               const mtf_tensor_id *layers)
{
    char key[MTF_PART_NAME];
    const int64_t one = 1;
    if (!is_mix(w)) {
        return layers[0];
    }
    (void)snprintf(key, sizeof key, "%s.mix.weight", w->name);
    const int32_t weight = mtf_program_param(p, key, 1, &n, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
    (void)snprintf(key, sizeof key, "%s.mix.gamma", w->name);
    const int32_t gamma = mtf_program_param(p, key, 1, &one, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ONE, 0);
    (void)snprintf(key, sizeof key, "%s mix", w->name);
    return mtf_node_layer_mix(p, key, n, layers, weight, gamma);
}

static mtf_status read_layers(mtf_program *p, const wish *w, mtf_tensor_id *x, mtf_error *err)
{
    mtf_tensor_id layers[MOST_MIXED];
    int64_t n = 0;
    const int32_t unit = p->current_unit;
    mtf_program_end_unit(p);
    MTF_TRY(find_layers(p, w, layers, &n, err));
    p->current_unit = unit;
    *x = of_layers(p, w, n, layers);
    return MTF_OK;
}

/* A named output; the head's own pooling of it stands in its unit. */
static mtf_status read_output(mtf_program *p, const wish *w, mtf_tensor_id *x, mtf_error *err)
{
    const char *wanted = w->pooling != NULL ? "hidden" : w->features;
    *x = mtf_program_find_output(p, wanted);
    if (*x == MTF_NO_TENSOR) {
        return no_output(w, wanted, err);
    }
    if (w->pooling != NULL) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pooling", w->name);
        *x = mtf_build_pool(p, label, w->pooling, *x);
        if (*x == MTF_NO_TENSOR && p->failure.code == MTF_OK) {
            return no_pooling(w, w->pooling, err);
        }
    }
    return MTF_OK;
}

mtf_status mtf_head_features(mtf_program *p, const char *name, const char *features,
                             const char *pooling, const char *space, mtf_tensor_id *x,
                             mtf_error *err)
{
    const wish w = {name, features, pooling, space};
    MTF_TRY(reads_layers(&w) ? read_layers(p, &w, x, err) : read_output(p, &w, x, err));
    const mtf_tensor_id positions = find_positions(p);
    if (*x != MTF_NO_TENSOR && positions != MTF_NO_TENSOR &&
        strcmp(p->spaces[p->tensors[positions].space].name, space) == 0) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pick", name);
        *x = mtf_node_pick(p, label, *x, positions);
    }
    if (*x != MTF_NO_TENSOR && strcmp(space, MTF_HEAD_PAIRS) == 0) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pair", name);
        *x = mtf_node_pair_features(p, label, *x, mtf_program_space_of_heads(p, space, 1));
    }
    if (*x != MTF_NO_TENSOR && strcmp(p->spaces[p->tensors[*x].space].name, space) != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head \"%s\" needs one row for each of the %s, but \"%s\" has one for each "
                        "of the %s",
                        name, space, features, p->spaces[p->tensors[*x].space].name);
    }
    return MTF_OK;
}

mtf_status mtf_head_declare_picked(mtf_program *p, const char *name, const mtf_config *config,
                                   mtf_error *err)
{
    (void)name;
    (void)config;
    if (find_positions(p) == MTF_NO_TENSOR) {
        const int32_t picked = mtf_program_space_of_heads(p, MTF_HEAD_PICKED, 0);
        (void)mtf_program_input_ids(p, MTF_HEAD_PICKED ".positions", picked, INT32_MAX, 0);
    }
    if (p->failure.code != MTF_OK) {
        *err = p->failure;
    }
    return p->failure.code;
}
