/* workspace.c: arenas of a model, grown outside of steps, reused by every plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "../base/threads.h"

#include <string.h>

void mtf_workspace_clear(mtf_workspace *w)
{
    mtf_free(w->saved);
    mtf_free(w->gradients);
    mtf_free(w->workers);
    mtf_free(w->shared);
    mtf_free(w->widened);
    mtf_free(w->halves);
    mtf_free(w->saved_starts);
    mtf_free(w->identity);
    mtf_free(w->blocks);
    memset(w, 0, sizeof *w);
}

/* Makes room for `wanted` elements of `element` bytes; `place` is where their pointer stands. Contents
 * are not kept. An arena of none has a place too, from which offsets of 0 may be taken. */
static mtf_status reserve(void *place, size_t *size, size_t wanted, size_t element, mtf_error *err)
{
    void *block;
    memcpy(&block, place, sizeof block);
    if (block != NULL && wanted <= *size) {
        return MTF_OK;
    }
    mtf_free(block);
    block = mtf_alloc_array(wanted, element);
    memcpy(place, &block, sizeof block);
    *size = block != NULL ? wanted : 0;
    return block != NULL ? MTF_OK : mtf_fail_memory(err, wanted * element);
}

mtf_status mtf_workspace_identity(mtf_workspace *w, int64_t n, mtf_error *err)
{
    if (n < w->identity_size) {
        return MTF_OK;
    }
    int64_t size = n + 1 + n / 2;
    int64_t *grown = mtf_alloc_array(2 * (size_t)size, sizeof *grown);
    if (grown == NULL) {
        return mtf_fail_memory(err, 2 * (size_t)size * sizeof *grown);
    }
    for (int64_t i = 0; i < size; i++) {
        grown[i] = i;
        grown[size + i] = 0;
    }
    mtf_free(w->identity);
    w->identity = grown;
    w->none = grown + size;
    w->identity_size = size;
    return MTF_OK;
}

void mtf_plan_measure(const mtf_plan *plan, const mtf_view *view, int64_t *blocks, mtf_sizes *sizes)
{
    memset(sizes, 0, sizeof *sizes);
    mtf_blocks_cut(plan, view, blocks, sizes);
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        sizes->rows[s] = mtf_view_rows(view, s);
        sizes->max_length[s] = mtf_view_max_length(view, s);
    }
    sizes->saved = mtf_arena_layout(&plan->saved, sizes->rows, NULL, NULL);
    sizes->halves = mtf_arena_layout(&plan->halves, sizes->rows, NULL, NULL);
    sizes->gradients = mtf_arena_layout(&plan->gradients, sizes->rows, NULL, NULL);
    sizes->work_start =
        mtf_arena_layout(&plan->temporary, sizes->block_rows, sizes->early_rows, NULL);
    mtf_extent extent = {0};
    memcpy(extent.n_rows, sizes->rows, sizeof extent.n_rows);
    memcpy(extent.max_length, sizes->max_length, sizeof extent.max_length);
    sizes->shared = mtf_plan_shared(plan, &extent);
    sizes->widened = mtf_plan_widened(plan, &extent);
    const size_t forward = sizes->work_start + mtf_plan_work(plan, &extent, 0);
    const size_t backward = mtf_plan_work(plan, &extent, 1);
    sizes->worker = forward > backward ? forward : backward;
    sizes->workers = sizes->worker * (size_t)mtf_workers();
}

static mtf_status reserve_blocks(mtf_workspace *w, int64_t n, mtf_error *err)
{
    if (n <= w->blocks_size) {
        return MTF_OK;
    }
    int64_t size = n + n / 2;
    int64_t *grown = mtf_alloc_array((size_t)size, sizeof *grown);
    if (grown == NULL) {
        return mtf_fail_memory(err, (size_t)size * sizeof *grown);
    }
    mtf_free(w->blocks);
    w->blocks = grown;
    w->blocks_size = size;
    return MTF_OK;
}

static mtf_status reserve_starts(mtf_workspace *w, const mtf_plan *plan, mtf_error *err)
{
    size_t saved = (size_t)plan->saved.n_regions, temporary = (size_t)plan->temporary.n_regions;
    size_t halves = (size_t)plan->halves.n_regions;
    size_t wanted = saved + halves + temporary + (size_t)plan->gradients.n_regions + 1;
    MTF_TRY(reserve(&w->saved_starts, &w->starts_size, wanted, sizeof *w->saved_starts, err));
    w->halves_starts = w->saved_starts + saved;
    w->temporary_starts = w->halves_starts + halves;
    w->gradient_starts = w->temporary_starts + temporary;
    return MTF_OK;
}

mtf_status mtf_workspace_workers(mtf_workspace *w, mtf_error *err)
{
    w->now.workers = w->now.worker * (size_t)mtf_workers();
    return reserve(&w->workers, &w->workers_size, w->now.workers, sizeof *w->workers, err);
}

mtf_status mtf_workspace_prepare(mtf_workspace *w, const mtf_plan *plan, const mtf_view *view,
                                 mtf_error *err)
{
    mtf_sizes *now = &w->now;
    MTF_TRY(reserve_blocks(w, view->n_sequences + 1, err));
    MTF_TRY(reserve_starts(w, plan, err));
    mtf_plan_measure(plan, view, w->blocks, now);
    (void)mtf_arena_layout(&plan->saved, now->rows, NULL, w->saved_starts);
    (void)mtf_arena_layout(&plan->halves, now->rows, NULL, w->halves_starts);
    (void)mtf_arena_layout(&plan->gradients, now->rows, NULL, w->gradient_starts);
    (void)mtf_arena_layout(&plan->temporary, now->block_rows, now->early_rows, w->temporary_starts);
    const size_t real = sizeof(mtf_real);
    MTF_TRY(reserve(&w->saved, &w->saved_size, now->saved, real, err));
    MTF_TRY(reserve(&w->gradients, &w->gradients_size, now->gradients, real, err));
    MTF_TRY(reserve(&w->shared, &w->shared_size, now->shared, real, err));
    MTF_TRY(reserve(&w->widened, &w->widened_size, now->widened, real, err));
    MTF_TRY(reserve(&w->halves, &w->halves_size, now->halves, sizeof *w->halves, err));
    return mtf_workspace_workers(w, err);
}
