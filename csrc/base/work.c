/* work.c: the work under way on each thread; see work.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

#include "status.h"

#include <time.h>

/* Who watches this thread. */
static _Thread_local struct {
    mtf_stop_fn stop;
    void *context;
    int64_t interval_ns;
} watcher;

static _Thread_local mtf_work *current;
static _Thread_local int joined; /* 1: a worker, whose current work is another thread's */

/* A few milliseconds are close enough, and cost a tenth of an exact time. */
static int64_t now_ns(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    const clockid_t clock = CLOCK_MONOTONIC_COARSE;
#else
    const clockid_t clock = CLOCK_MONOTONIC;
#endif
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mtf_stop_watch(mtf_stop_fn stop, void *context, int interval_ms)
{
    watcher.stop = stop;
    watcher.context = context;
    watcher.interval_ns = (int64_t)interval_ms * 1000000;
}

void mtf_work_open(mtf_work *work)
{
    work->outer = current;
    work->n_workers = mtf_threads_get();
    work->stop = watcher.stop;
    work->context = watcher.context;
    work->interval_ns = watcher.interval_ns;
    work->next_ns = work->stop != NULL ? now_ns() + work->interval_ns : 0;
    atomic_init(&work->stopped, 0);
    current = work;
}

mtf_status mtf_work_close(mtf_work *work, mtf_status status, mtf_error *err)
{
    if (atomic_load(&work->stopped)) {
        status = mtf_work_check(err);
    }
    current = work->outer;
    return status;
}

int mtf_stopping(void)
{
    mtf_work *work = current;
    if (work == NULL || work->stop == NULL) {
        return 0;
    }
    if (atomic_load_explicit(&work->stopped, memory_order_relaxed)) {
        return 1;
    }
    if (joined) {
        return 0;
    }
    const int64_t now = now_ns();
    if (now < work->next_ns) {
        return 0;
    }
    if (work->stop(work->context)) {
        atomic_store(&work->stopped, 1);
        return 1;
    }
    work->next_ns = now_ns() + work->interval_ns;
    return 0;
}

mtf_status mtf_work_check(mtf_error *err)
{
    return current != NULL && atomic_load(&current->stopped)
               ? mtf_fail(err, MTF_INTERRUPTED, "stopped before the end, because it was asked to")
               : MTF_OK;
}

void mtf_work_commit(void)
{
    if (current != NULL) {
        current->stop = NULL; /* no job is under way: the workers of the next one see it */
    }
}

mtf_work *mtf_work_current(void)
{
    return current;
}

void mtf_work_join(mtf_work *work)
{
    current = work;
    joined = work != NULL;
}
