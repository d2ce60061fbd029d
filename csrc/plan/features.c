/* features.c: the outputs that can stand for a frozen prefix.
 *
 * The boundary of a plan is what its prefix hands on. A tensor of it without a name cannot be given with
 * a batch (half of a stage is frozen; what a frozen layer of a decoder makes of the encoder's state while
 * the queries train): then what it is made of is given, as high as there are names, and the rest of the
 * prefix is computed from there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include "../base/alloc.h"
#include "../base/status.h"

/* Name of the output that a tensor is, dropout that is off looked through; NULL: it has none. */
static const char *name_of(const mtf_plan *plan, mtf_tensor_id t)
{
    const char *name = NULL; /* the last one: "hidden" rather than "hidden_states.6" */
    for (int32_t i = 0; i < plan->program->n_outputs; i++) {
        if (plan->alias[plan->program->outputs[i].tensor] == t) {
            name = plan->program->outputs[i].name;
        }
    }
    return name;
}

const char *mtf_plan_boundary_name(const mtf_plan *plan, int32_t b)
{
    return name_of(plan, plan->boundary[b]);
}

/* What the tensors in `marked` that this step of the prefix makes and that have no name are made of is
 * marked in their stead. 0: one is made of an input itself. */
static int lower_marks(const mtf_plan *plan, const mtf_step *step, const unsigned char *constant,
                       unsigned char *marked)
{
    const mtf_program *program = plan->program;
    const mtf_node *node = &program->nodes[step->node];
    int lowers = 0;
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        const mtf_tensor_id t = node->out[o];
        if (t != MTF_NO_TENSOR && marked[t] && name_of(plan, t) == NULL) {
            marked[t] = 0;
            lowers = 1;
        }
    }
    for (int k = 0; lowers && k < MTF_MAX_IN; k++) {
        const mtf_tensor_id t = step->in[k];
        if (t != MTF_NO_TENSOR && !constant[t]) {
            if (program->tensors[t].role == MTF_ROLE_INPUT) {
                return 0;
            }
            marked[t] = 1;
        }
    }
    return 1;
}

/* Fills names[] from the highest tensor that is marked down; 0: there are too many. */
static int list_marked(const mtf_plan *plan, const unsigned char *marked, size_t *n,
                       const char **names)
{
    for (int32_t i = 0; i < plan->n_boundary; i++) { /* in the order of the boundary, then upward */
        if (marked[plan->boundary[i]]) {
            if (*n == MTF_MAX_FEATURES) {
                return 0;
            }
            names[(*n)++] = mtf_plan_boundary_name(plan, i);
        }
    }
    for (mtf_tensor_id t = 0; t < plan->program->n_tensors; t++) {
        int listed = !marked[t];
        for (int32_t i = 0; i < plan->n_boundary; i++) {
            listed |= plan->boundary[i] == t;
        }
        if (!listed) {
            if (*n == MTF_MAX_FEATURES) {
                return 0;
            }
            names[(*n)++] = name_of(plan, t);
        }
    }
    return 1;
}

mtf_status mtf_plan_features(const mtf_plan *plan, size_t *n, const char **names, mtf_error *err)
{
    const size_t tensors = (size_t)plan->program->n_tensors;
    unsigned char *marked = mtf_alloc_zero(2 * tensors);
    if (marked == NULL) {
        return mtf_fail_memory(err, 2 * tensors);
    }
    unsigned char *constant = marked + tensors;
    mtf_program_mark_constant(plan->program, constant);
    for (int32_t b = 0; b < plan->n_boundary; b++) {
        marked[plan->boundary[b]] = 1;
    }
    int found = 1;
    for (int32_t i = plan->n_forward - 1; found && i >= 0; i--) {
        found = lower_marks(plan, &plan->forward[i], constant, marked);
    }
    *n = 0;
    if (!found || !list_marked(plan, marked, n, names)) {
        *n = 0;
    }
    mtf_free(marked);
    return MTF_OK;
}
