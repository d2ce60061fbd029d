/* work.h: the call under way on a thread: how many workers it has, and whether it is to end early.
 *
 * A function of mtfreeze.h that works on a model opens a *work* on its stack and closes it. In between,
 * the number of workers stands still, so that memory and cuts made for it stay right; and whoever
 * watches the thread (mtf_stop_watch) is asked now and then whether to go on. The answer is kept in the
 * work, where the workers of its jobs read it. Once it is "stop", what is left is passed over without
 * being computed; closing the work then turns its status into MTF_INTERRUPTED, so nobody takes half
 * results for whole ones.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_WORK_H
#define MTF_BASE_WORK_H

#include "../include/mtfreeze.h"

#include <stdatomic.h>

typedef struct mtf_work {
    struct mtf_work *outer; /* of the same thread: whoever is asked may call the core again */
    int n_workers;
    mtf_stop_fn stop; /* NULL: nobody watches */
    void *context;
    int64_t interval_ns, next_ns; /* when to ask again */
    atomic_int stopped;
} mtf_work;

void mtf_work_open(mtf_work *work);
/* `status`, or MTF_INTERRUPTED if the work was stopped. */
MTF_NODISCARD mtf_status mtf_work_close(mtf_work *work, mtf_status status, mtf_error *err);

/* 1: give up, what you compute is not wanted any more. To be called between pieces of some
 * milliseconds; it costs a few nanoseconds. Only the thread that opened the work asks. */
int mtf_stopping(void);
/* MTF_INTERRUPTED if the work under way was stopped; asks nobody. */
MTF_NODISCARD mtf_status mtf_work_check(mtf_error *err);
/* From here on the work is not stopped any more: it begins to change what must change as a whole. */
void mtf_work_commit(void);

/* The work under way on this thread, or NULL; a pool hands it to its workers, which take it on. */
mtf_work *mtf_work_current(void);
void mtf_work_join(mtf_work *work);

#endif
