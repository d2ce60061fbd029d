/* pooling.c: from token rows to one vector a sequence, shared by the encoder families.
 *
 * Poolings without parameters (sentence-transformers' names), alone or side by side; or "pooler":
 * act(W first + b), the family's own pooler, a unit with parameters. Then Dense modules (dense.c) and the
 * division by the length. What has no parameters stands in no unit: nothing in it can be frozen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include "../base/status.h"

#include <stdio.h>
#include <string.h>

/* sentence-transformers' Normalize: torch.nn.functional.normalize, eps 1e-12. */
#define NORMALIZE_EPS 1e-12
/* More poolings side by side than there are kinds make no sense. */
#define MOST_POOLS 8

static const struct {
    const char *name;
    mtf_pooling pooling;
} poolings[] = {{"mean", MTF_POOL_MEAN},
                {"cls", MTF_POOL_FIRST},
                {"max", MTF_POOL_MAX},
                {"mean_sqrt_len_tokens", MTF_POOL_MEAN_SQRT_LEN},
                {"weightedmean", MTF_POOL_WEIGHTED_MEAN},
                {"lasttoken", MTF_POOL_LAST}};

/* The pooling that the first `length` characters of `name` are; 0: none is. */
static int find_pooling(const char *name, size_t length, mtf_pooling *pooling)
{
    for (size_t i = 0; i < sizeof poolings / sizeof poolings[0]; i++) {
        if (strlen(poolings[i].name) == length && memcmp(poolings[i].name, name, length) == 0) {
            *pooling = poolings[i].pooling;
            return 1;
        }
    }
    return 0;
}

/* The poolings that `how` names (n of at most MOST_POOLS); 0: it names something else. */
static int read_poolings(const char *how, mtf_pooling *found)
{
    int n = 0;
    for (const char *name = how; n < MOST_POOLS; n++) {
        const size_t length = strcspn(name, "+");
        if (!find_pooling(name, length, &found[n])) {
            return 0;
        }
        if (name[length] == '\0') {
            return n + 1;
        }
        name += length + 1;
    }
    return 0;
}

mtf_tensor_id mtf_build_pool(mtf_program *program, const char *label, const char *how,
                             mtf_tensor_id hidden)
{
    mtf_pooling found[MOST_POOLS];
    mtf_tensor_id parts[MOST_POOLS];
    const mtf_tensor_id skip = mtf_program_find_input(program, "skip");
    const int n = read_poolings(how, found);
    for (int i = 0; i < n; i++) {
        parts[i] = mtf_node_pool(program, label, found[i], hidden, skip);
    }
    return n > 0 ? mtf_node_concat(program, label, n, parts) : MTF_NO_TENSOR;
}

mtf_status mtf_declare_skip(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    int include = 1;
    MTF_TRY(mtf_config_get_bool(config, "include_prompt", &include, err));
    if (!include) {
        (void)mtf_program_input_ids(program, "skip", MTF_SPACE_SEQUENCES, INT32_MAX, 1);
    }
    return MTF_OK; /* a failure of the program sticks until its end */
}

const mtf_pooler mtf_bert_pooler = {.part = "dense", .activation = MTF_ACT_TANH};

static mtf_tensor_id build_pooler(mtf_program *program, const mtf_pooler *pooler,
                                  mtf_tensor_id hidden)
{
    const mtf_block block = {
        .program = program, .keys = "backbone.pooler", .label = "backbone.pooler"};
    if (pooler->build != NULL) {
        return pooler->build(program, pooler->of, hidden);
    }
    mtf_program_unit(program, "backbone.pooler", 0);
    mtf_tensor_id first =
        mtf_node_pool(program, "backbone.pooler first", MTF_POOL_FIRST, hidden, MTF_NO_TENSOR);
    const int64_t own = first != MTF_NO_TENSOR ? program->tensors[first].width : 1;
    const int64_t width = pooler->width > 0 ? pooler->width : own;
    mtf_tensor_id pooled = mtf_part_dense(&block, pooler->part, first, width, pooler->activation);
    mtf_program_end_unit(program);
    return pooled;
}

mtf_status mtf_build_pooling(mtf_program *program, const mtf_config *config, mtf_tensor_id hidden,
                             const mtf_pooler *pooler, mtf_error *err)
{
    const char *how = "mean";
    int normalize = 0;
    mtf_pooling found[MOST_POOLS];
    MTF_TRY(mtf_config_get_text(config, "pooling", &how, err));
    MTF_TRY(mtf_config_get_bool(config, "normalize", &normalize, err));
    mtf_tensor_id pooled;
    if (strcmp(how, "pooler") == 0 && pooler == NULL) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "pooling is \"pooler\", but models of this family have no pooler; choose "
                        "another pooling");
    }
    if (strcmp(how, "pooler") == 0) {
        pooled = build_pooler(program, pooler, hidden);
    } else if (read_poolings(how, found) > 0) {
        pooled = mtf_build_pool(program, "backbone pooling", how, hidden);
    } else {
        return mtf_fail(
            err, MTF_ERR_CONFIG,
            "pooling must be \"pooler\", or one or several joined by \"+\" of \"mean\", "
            "\"cls\", \"max\", \"mean_sqrt_len_tokens\", \"weightedmean\" and "
            "\"lasttoken\", found \"%.100s\"",
            how);
    }
    MTF_TRY(mtf_build_dense(program, config, &pooled, err));
    mtf_program_output(program, "pooled", pooled);
    mtf_program_output(
        program, "embedding",
        normalize ? mtf_node_normalize(program, "backbone normalize", pooled, NORMALIZE_EPS)
                  : pooled);
    return mtf_program_finish(program, err);
}
