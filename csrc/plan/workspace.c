/* workspace.c: arenas of a model, grown outside of steps, reused by every plan; and the cut into
 * blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "../base/threads.h"

#include <string.h>

/* Tokens of one forward block: large enough that packing a weight for a product is a small share,
 * small enough that a block's activations stay in a core's second-level cache. */
#define BLOCK_ROWS 512
/* Below this many rows a block is not cut further. */
#define BLOCK_ROWS_MIN 64

void mtf_workspace_clear(mtf_workspace *w)
{
    mtf_free(w->saved);
    mtf_free(w->gradients);
    mtf_free(w->workers);
    mtf_free(w->saved_starts);
    mtf_free(w->identity);
    mtf_free(w->blocks);
    memset(w, 0, sizeof *w);
}

/* Contents are not kept. */
static mtf_status reserve(mtf_real **block, size_t *size, size_t wanted, mtf_error *err)
{
    if (wanted <= *size) {
        return MTF_OK;
    }
    mtf_free(*block);
    *size = 0;
    *block = mtf_alloc_array(wanted, sizeof **block);
    if (*block == NULL) {
        return mtf_fail_memory(err, wanted * sizeof **block);
    }
    *size = wanted;
    return MTF_OK;
}

mtf_status mtf_workspace_identity(mtf_workspace *w, int64_t n, mtf_error *err)
{
    if (n < w->identity_size) {
        return MTF_OK;
    }
    int64_t size = n + 1 + n / 2;
    int64_t *grown = mtf_alloc_array((size_t)size, sizeof *grown);
    if (grown == NULL) {
        return mtf_fail_memory(err, (size_t)size * sizeof *grown);
    }
    for (int64_t i = 0; i < size; i++) {
        grown[i] = i;
    }
    mtf_free(w->identity);
    w->identity = grown;
    w->identity_size = size;
    return MTF_OK;
}

/* Rows of the largest row space: what blocks are measured in. */
static int32_t widest_space(const mtf_plan *plan, const mtf_view *view)
{
    int32_t widest = 0;
    for (int32_t s = 1; s < plan->program->n_spaces; s++) {
        if (mtf_view_rows(view, s) > mtf_view_rows(view, widest)) {
            widest = s;
        }
    }
    return widest;
}

/* Whole sequences, so that blocks have nearly equal rows; fills w->blocks. */
static mtf_status cut_blocks(mtf_workspace *w, const mtf_plan *plan, const mtf_view *view,
                             mtf_error *err)
{
    if (view->n_sequences + 1 > w->blocks_size) {
        int64_t size = view->n_sequences + 1 + view->n_sequences / 2;
        int64_t *grown = mtf_alloc_array((size_t)size, sizeof *grown);
        if (grown == NULL) {
            return mtf_fail_memory(err, (size_t)size * sizeof *grown);
        }
        mtf_free(w->blocks);
        w->blocks = grown;
        w->blocks_size = size;
    }
    const int32_t space = widest_space(plan, view);
    const int64_t *offsets = view->offsets[space];
    const int64_t rows = mtf_view_rows(view, space);
    const int64_t workers = mtf_threads_get();
    int64_t wanted = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    wanted = (wanted + workers - 1) / workers * workers;
    int64_t most = rows / BLOCK_ROWS_MIN;
    wanted = wanted < most ? wanted : most;
    wanted = plan->splits && wanted > 1 ? wanted : 1;
    w->n_blocks = 0;
    int64_t sequence = 0;
    while (sequence < view->n_sequences) {
        w->blocks[w->n_blocks++] = sequence;
        int64_t end = rows * w->n_blocks / wanted; /* rows after which this block is full */
        do {
            sequence++;
        } while (sequence < view->n_sequences &&
                 (offsets[sequence + 1] - offsets[0] + offsets[sequence] - offsets[0]) / 2 <= end);
    }
    w->blocks[w->n_blocks] = view->n_sequences;
    return MTF_OK;
}

static mtf_status reserve_starts(mtf_workspace *w, const mtf_plan *plan, mtf_error *err)
{
    size_t saved = (size_t)plan->saved.n_regions, temporary = (size_t)plan->temporary.n_regions;
    size_t wanted = saved + temporary + (size_t)plan->gradients.n_regions + 1;
    if (wanted > w->starts_size) {
        mtf_free(w->saved_starts);
        w->starts_size = 0;
        w->saved_starts = mtf_alloc_array(wanted, sizeof *w->saved_starts);
        if (w->saved_starts == NULL) {
            return mtf_fail_memory(err, wanted * sizeof *w->saved_starts);
        }
        w->starts_size = wanted;
    }
    w->temporary_starts = w->saved_starts + saved;
    w->gradient_starts = w->temporary_starts + temporary;
    return MTF_OK;
}

mtf_status mtf_workspace_prepare(mtf_workspace *w, const mtf_plan *plan, const mtf_view *view,
                                 mtf_error *err)
{
    int64_t rows[MTF_MAX_SPACES] = {0}, block_rows[MTF_MAX_SPACES] = {0};
    int64_t longest[MTF_MAX_SPACES] = {0};
    MTF_TRY(cut_blocks(w, plan, view, err));
    MTF_TRY(reserve_starts(w, plan, err));
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        rows[s] = mtf_view_rows(view, s);
        longest[s] = mtf_view_max_length(view, s);
        for (int64_t b = 0; b < w->n_blocks; b++) {
            int64_t n = view->offsets[s][w->blocks[b + 1]] - view->offsets[s][w->blocks[b]];
            block_rows[s] = n > block_rows[s] ? n : block_rows[s];
        }
    }
    MTF_TRY(reserve(&w->saved, &w->saved_size,
                    mtf_arena_layout(&plan->saved, rows, w->saved_starts), err));
    MTF_TRY(reserve(&w->gradients, &w->gradients_size,
                    mtf_arena_layout(&plan->gradients, rows, w->gradient_starts), err));
    size_t forward = mtf_arena_layout(&plan->temporary, block_rows, w->temporary_starts) +
                     mtf_plan_work(plan, longest, 0);
    size_t backward = mtf_plan_work(plan, longest, 1);
    w->worker_stride = forward > backward ? forward : backward;
    return reserve(&w->workers, &w->workers_size, w->worker_stride * (size_t)mtf_threads_get(),
                   err);
}
