/* grids.c: the grids of a batch: widths that fit their rows, and spaces that follow from others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include "../base/status.h"

#include <string.h>

static int64_t rows_of(const mtf_view *view, int32_t space, int64_t sequence)
{
    return view->offsets[space][sequence + 1] - view->offsets[space][sequence];
}

/* The widths are whole columns of the rows, and the grid one that the space takes. */
static mtf_status check_widths(const mtf_space_def *space, const mtf_view *view, int32_t s,
                               mtf_error *err)
{
    for (int64_t i = 0; i < view->n_sequences; i++) {
        const int64_t rows = rows_of(view, s, i), width = view->widths[s][i];
        if (width < 1 || rows % width != 0) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has %lld %s and a width of %lld; a grid has whole rows "
                            "of at least 1 column",
                            (long long)i, (long long)rows, space->name, (long long)width);
        }
        if (space->height > 0 && (width != space->width || rows / width != space->height)) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has a grid of %lld x %lld %s, the model takes %lld x "
                            "%lld; resize the picture, or let the model interpolate its positions "
                            "where it can",
                            (long long)i, (long long)(rows / width), (long long)width, space->name,
                            (long long)space->height, (long long)space->width);
        }
    }
    return MTF_OK;
}

/* Rows of a space that has `extra` more than another. */
static mtf_status check_extra(const mtf_program *program, const mtf_view *view, int32_t s,
                              mtf_error *err)
{
    const mtf_space_def *space = &program->spaces[s];
    for (int64_t i = 0; i < view->n_sequences; i++) {
        const int64_t rows = rows_of(view, s, i), of = rows_of(view, space->of, i);
        if (rows != of + space->extra) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has %lld %s; of %lld %s there are %lld", (long long)i,
                            (long long)rows, space->name, (long long)of,
                            program->spaces[space->of].name, (long long)(of + space->extra));
        }
    }
    return MTF_OK;
}

/* The grid of windows over another, where the widths of both are known. */
static mtf_status check_windows(const mtf_program *program, const mtf_view *view, int32_t s,
                                mtf_error *err)
{
    const mtf_space_def *space = &program->spaces[s];
    for (int64_t i = 0; i < view->n_sequences; i++) {
        const int64_t width = view->widths[s][i], of_width = view->widths[space->of][i];
        const int64_t height = rows_of(view, s, i) / width;
        const int64_t of_height = rows_of(view, space->of, i) / of_width;
        const int64_t wide = mtf_grid_side(&space->windows, of_width);
        const int64_t high = mtf_grid_side(&space->windows, of_height);
        if (wide < 1 || high < 1) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has a grid of %lld x %lld %s, too small for windows of "
                            "%lld; take a larger picture",
                            (long long)i, (long long)of_height, (long long)of_width,
                            program->spaces[space->of].name, (long long)space->windows.kernel);
        }
        if (width != wide || height != high) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "sequence %lld has a grid of %lld x %lld %s; over %lld x %lld %s it "
                            "is %lld x %lld",
                            (long long)i, (long long)height, (long long)width, space->name,
                            (long long)of_height, (long long)of_width,
                            program->spaces[space->of].name, (long long)high, (long long)wide);
        }
    }
    return MTF_OK;
}

static mtf_status place_widths(const mtf_program *program, const mtf_batch *batch, mtf_view *view,
                               mtf_error *err)
{
    for (size_t i = 0; i < batch->n_spaces; i++) {
        for (int32_t s = 1; s < program->n_spaces && batch->spaces[i].widths != NULL; s++) {
            if (strcmp(program->spaces[s].name, batch->spaces[i].space) != 0) {
                continue;
            }
            if (!program->spaces[s].is_grid) {
                return mtf_fail(err, MTF_ERR_VALUE, "the %s are no grid and have no widths",
                                program->spaces[s].name);
            }
            view->widths[s] = batch->spaces[i].widths;
        }
    }
    return MTF_OK;
}

mtf_status mtf_view_check_grids(const mtf_program *program, const mtf_batch *batch, mtf_view *view,
                                mtf_error *err)
{
    MTF_TRY(place_widths(program, batch, view, err));
    for (int32_t s = 1; s < program->n_spaces; s++) {
        const mtf_space_def *space = &program->spaces[s];
        if (view->widths[s] != NULL) {
            MTF_TRY(check_widths(space, view, s, err));
        }
        if (space->of == 0) {
            continue;
        }
        if (!space->is_grid) {
            MTF_TRY(check_extra(program, view, s, err));
        } else if (view->widths[space->of] != NULL) {
            /* operations over one grid trust that the other follows from it */
            if (view->widths[s] == NULL) {
                return mtf_fail(err, MTF_ERR_VALUE,
                                "the batch has widths for its %s and none for its %s; give both",
                                program->spaces[space->of].name, space->name);
            }
            MTF_TRY(check_windows(program, view, s, err));
        }
    }
    return MTF_OK;
}

static mtf_status fail_widths(const mtf_program *program, int32_t space, mtf_error *err)
{
    return mtf_fail(err, MTF_ERR_VALUE,
                    "the batch has no widths for its %s; say how many columns the grid of each "
                    "sequence has",
                    program->spaces[space].name);
}

mtf_status mtf_view_bind_grids(const mtf_plan *plan, const mtf_view *view, mtf_error *err)
{
    const mtf_program *program = plan->program;
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_node *node = &program->nodes[plan->forward[i].node];
        for (int k = 0; k < MTF_MAX_IN; k++) {
            const mtf_slot *in = &node->shape.in[k];
            if ((node->op->grids >> k & 1u) && in->width > 0 && view->widths[in->space] == NULL) {
                return fail_widths(program, in->space, err);
            }
        }
        const int32_t made = node->shape.out[0].space;
        if ((node->op->grids & MTF_GRID_OF_OUTPUT) != 0 && view->widths[made] == NULL) {
            return fail_widths(program, made, err);
        }
    }
    return MTF_OK;
}
