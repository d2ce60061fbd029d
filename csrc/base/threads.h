/* threads.h: one pool of worker threads for every model of the process.
 *
 * The caller is worker 0. Workers spin briefly, then park. After fork() the child starts its own.
 * Two callers at once: the second runs its items alone, in order; results never depend on it,
 * because work is cut by shape and each item writes its own place. When the work under way is stopped
 * (work.h), the items that nobody has begun are left out.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_THREADS_H
#define MTF_BASE_THREADS_H

#include "work.h"

typedef void (*mtf_item_fn)(void *context, int64_t item, int worker);

/* How many workers the work under way on this thread has, or would have if it began now. */
int mtf_workers(void);

/* Runs fn for items 0 .. n_items-1, each once, on up to mtf_workers() workers numbered from 0;
 * returns when all are done. n_items <= 1 or one thread: on the caller alone. No allocation after
 * the pool has started. Not to be called from inside an item. */
void mtf_parallel_for(int64_t n_items, mtf_item_fn fn, void *context);

/* The same for items that make about `n_operations` in all: when these take less time than waking a
 * worker, the caller runs them alone. */
void mtf_parallel_work(int64_t n_items, int64_t n_operations, mtf_item_fn fn, void *context);

/* MTF_ERR_VALUE when MTFREEZE_THREADS is set to something that is no number from 1 to 256. */
MTF_NODISCARD mtf_status mtf_threads_check(mtf_error *err);

#endif
