/* dense.c: the Dense modules of sentence-transformers, between pooling and normalisation.
 *
 *   y = act(W x + b) [+ x, or + R x where W changes the width]
 *
 * All of them are one unit: what they are frozen for is one thing, the map from a pooled vector to
 * the embedding. SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include "../base/status.h"

#include <stdio.h>

/* A few are usual; the bound keeps a damaged configuration from asking for millions. */
#define MOST_DENSE 16

typedef struct dense_config {
    int64_t inputs, width; /* inputs 0: as many as there are */
    int bias, residual;
    mtf_activation activation;
} dense_config;

/* "dense.<i>.<what>" */
static const char *key_of(int64_t i, const char *what, char key[48])
{
    (void)snprintf(key, 48, "dense.%lld.%s", (long long)i, what);
    return key;
}

static mtf_status read_config(dense_config *c, const mtf_config *config, int64_t i, mtf_error *err)
{
    char key[48];
    *c = (dense_config){.bias = 1, .activation = MTF_ACT_NONE};
    MTF_TRY(mtf_config_get_int(config, key_of(i, "width", key), 1, INT64_C(1) << 20, 1, &c->width,
                               err));
    MTF_TRY(mtf_config_get_int(config, key_of(i, "inputs", key), 1, INT64_C(1) << 24, 0, &c->inputs,
                               err));
    MTF_TRY(mtf_config_get_bool(config, key_of(i, "bias", key), &c->bias, err));
    MTF_TRY(mtf_config_get_bool(config, key_of(i, "residual", key), &c->residual, err));
    return mtf_read_activation(config, key_of(i, "activation", key), &c->activation, err);
}

static mtf_tensor_id build_one(mtf_program *p, const dense_config *c, int64_t i, mtf_tensor_id x)
{
    char keys[48], label[48];
    (void)snprintf(keys, sizeof keys, "backbone.dense.%lld", (long long)i);
    (void)snprintf(label, sizeof label, "backbone.dense %lld", (long long)i);
    const mtf_block block = {.program = p, .keys = keys, .label = label};
    const mtf_tensor_id y = mtf_part_linear(&block, "linear", x, c->width, c->bias, c->activation);
    if (!c->residual || x == MTF_NO_TENSOR) {
        return y;
    }
    if (p->tensors[x].width != c->width) {
        x = mtf_part_linear(&block, "residual", x, c->width, 0, MTF_ACT_NONE);
    }
    return mtf_node_add(p, label, y, x);
}

mtf_status mtf_build_dense(mtf_program *p, const mtf_config *config, mtf_tensor_id *x,
                           mtf_error *err)
{
    int64_t n = 0;
    MTF_TRY(mtf_config_get_int(config, "n_dense", 0, MOST_DENSE, 0, &n, err));
    if (n == 0) {
        return MTF_OK;
    }
    mtf_program_unit(p, "backbone.dense", 0);
    for (int64_t i = 0; i < n; i++) {
        dense_config c;
        MTF_TRY(read_config(&c, config, i, err));
        if (*x != MTF_NO_TENSOR && c.inputs != 0 && c.inputs != p->tensors[*x].width) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "Dense module %lld reads %lld values; found %lld in the vector before "
                            "it: choose the pooling that it was made for",
                            (long long)i, (long long)c.inputs, (long long)p->tensors[*x].width);
        }
        *x = build_one(p, &c, i, *x);
    }
    mtf_program_end_unit(p);
    return MTF_OK;
}
