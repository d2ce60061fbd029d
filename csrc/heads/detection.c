/* detection.c: what object each query of a picture found, and where; for the loss of sets
 * (csrc/losses/set.c).
 *
 *   labels = W x + b, of n_labels and of "none"
 *   box    = sigmoid(W2 relu(W1 relu(W0 x + b0) + b1) + b2)
 *
 * of the states x of the last layer of the backbone's decoder, "queries"; with key "auxiliary" of
 * those of every layer, "queries.0" and so on, by the same weights. A row has [labels, box] of each
 * layer, the last one last. Weights start uniform within 1 / sqrt(width of x), as those of the
 * reference (Carion and others 2020) do, so that boxes differ from the start; biases are zero.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

#include <math.h>
#include <stdio.h>

#define QUERIES     "queries"
#define BOX         4
#define MOST_LAYERS 64

/* The table is generated, so this has no header of its own. */
extern const mtf_head_kind mtf_head_detection;

/* The states that are read, in order; `auxiliary`: of all layers. */
static mtf_status find_states(mtf_program *p, const char *name, int auxiliary,
                              mtf_tensor_id *states /* (MOST_LAYERS) */, int *n, mtf_error *err)
{
    char output[32];
    *n = 1;
    states[0] = mtf_program_find_output(p, QUERIES);
    if (states[0] == MTF_NO_TENSOR) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head \"%s\" finds objects by the queries of a backbone, which this one "
                        "does not have; take one that does, such as DETR",
                        name);
    }
    for (*n = auxiliary ? 0 : 1; auxiliary; ++*n) {
        (void)snprintf(output, sizeof output, QUERIES ".%d", *n);
        const mtf_tensor_id found = mtf_program_find_output(p, output);
        if (found == MTF_NO_TENSOR) {
            break;
        }
        if (*n == MOST_LAYERS) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "head \"%s\" reads every layer of the backbone's decoder, at most %d; "
                            "found more; make it with auxiliary false",
                            name, MOST_LAYERS);
        }
        states[*n] = found;
    }
    return *n > 0 ? MTF_OK
                  : mtf_fail(err, MTF_ERR_CONFIG,
                             "head \"%s\" reads \"" QUERIES ".0\" and so on, which this backbone "
                             "does not have; make it with auxiliary false",
                             name);
}

/* Labels and box of one layer. */
static void add_answer(const mtf_block *block, mtf_tensor_id x, int64_t n_labels,
                       mtf_tensor_id *labels, mtf_tensor_id *box)
{
    char label[MTF_PART_NAME];
    const int64_t width = x != MTF_NO_TENSOR ? block->program->tensors[x].width : 0;
    *labels = mtf_part_dense(block, "labels", x, n_labels + 1, MTF_ACT_NONE);
    mtf_tensor_id y = mtf_part_dense(block, "boxes.0", x, width, MTF_ACT_RELU);
    y = mtf_part_dense(block, "boxes.1", y, width, MTF_ACT_RELU);
    y = mtf_part_dense(block, "boxes.2", y, BOX, MTF_ACT_NONE);
    *box = mtf_node_activation(block->program, mtf_part_label(block, "boxes", label), y,
                               MTF_ACT_SIGMOID);
}

static mtf_status build(mtf_program *p, const char *name, const mtf_config *config, mtf_error *err)
{
    mtf_tensor_id states[MOST_LAYERS], answers[2 * MOST_LAYERS];
    char text[MTF_PART_NAME];
    int64_t n_labels = 0;
    int auxiliary = 0, n = 0;
    MTF_TRY(mtf_config_get_int(config, "n_labels", 1, MTF_HEAD_MAX_OUTPUTS, 1, &n_labels, err));
    MTF_TRY(mtf_config_get_bool(config, "auxiliary", &auxiliary, err));
    mtf_program_unit(p, name, 1);
    MTF_TRY(find_states(p, name, auxiliary, states, &n, err));
    for (int i = 0; i < n; i++) {
        char label[MTF_PART_NAME];
        (void)snprintf(label, sizeof label, "%s %d", name, i);
        const mtf_block block = {.program = p,
                                 .keys = name,
                                 .label = label,
                                 .init = MTF_INIT_UNIFORM,
                                 .init_bound = 1 / sqrt((double)p->tensors[states[i]].width)};
        add_answer(&block, states[i], n_labels, &answers[2 * i], &answers[2 * i + 1]);
    }
    (void)snprintf(text, sizeof text, "%s answers", name);
    const mtf_tensor_id joined = mtf_node_concat(p, text, 2 * n, answers);
    mtf_program_parts(p, joined, n);
    mtf_program_output(p, name, joined);
    mtf_program_end_unit(p);
    return mtf_program_finish(p, err);
}

const mtf_head_kind mtf_head_detection = {.kind = "detection", .loss = "set", .build = build};
