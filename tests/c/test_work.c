/* Works and the pool: who is asked whether to stop, what a stop leaves out, and what closing says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST_THREADS 3
#define PATIENCE_MS  20000

/* Says "stop" at the question number `at`, from 0, once `ready`, if given, says 1. */
typedef struct questions {
    int at, n;
    int (*ready)(void);
    pthread_t caller;
    int n_by_others; /* questions on other threads than the caller's */
} questions;

static void wait_for(int (*condition)(void))
{
    const struct timespec tick = {0, 1000000};
    for (int i = 0; i < PATIENCE_MS && !condition(); i++) {
        (void)nanosleep(&tick, NULL);
    }
}

static int answer(void *context)
{
    questions *q = context;
    q->n_by_others += !pthread_equal(pthread_self(), q->caller);
    if (q->n++ != q->at) {
        return 0;
    }
    if (q->ready != NULL) {
        wait_for(q->ready);
    }
    return 1;
}

static void watch(questions *q, int at, int (*ready)(void))
{
    *q = (questions){.at = at, .ready = ready, .caller = pthread_self()};
    mtf_stop_watch(answer, q, 0);
}

static void watch_no_more(void)
{
    mtf_stop_watch(NULL, NULL, 0);
}

/* ---- closing -------------------------------------------------------------------------------------- */

MTF_TEST(a_stopped_work_closes_as_interrupted_whatever_it_came_to)
{
    static const mtf_status came_to[] = {MTF_OK, MTF_ERR_VALUE};
    questions q;
    for (int i = 0; i < 2; i++) {
        mtf_work work;
        mtf_error err = {0};
        watch(&q, 1, NULL);
        mtf_work_open(&work);
        CHECK_INT(mtf_stopping(), 0);
        CHECK(mtf_work_check(&err) == MTF_OK);
        CHECK_INT(mtf_stopping(), 1);
        CHECK_INT(mtf_stopping(), 1);
        CHECK_INT(q.n, 2); /* nobody is asked once he wants no more */
        CHECK(mtf_work_check(&err) == MTF_INTERRUPTED);
        err = (mtf_error){0};
        CHECK(mtf_work_close(&work, came_to[i], &err) == MTF_INTERRUPTED);
        CHECK_INT(err.code, MTF_INTERRUPTED);
        CHECK(mtf_work_current() == NULL);
    }
    watch_no_more();
}

MTF_TEST(a_work_that_is_not_stopped_closes_as_what_it_came_to)
{
    static const mtf_status came_to[] = {MTF_OK, MTF_ERR_VALUE};
    questions q;
    for (int i = 0; i < 4; i++) {
        mtf_work work;
        mtf_error err = {0};
        watch(&q, i < 2 ? -1 : 0, NULL);
        mtf_work_open(&work);
        if (i >= 2) {
            mtf_work_commit(); /* from here on nobody is asked */
        }
        CHECK_INT(mtf_stopping(), 0);
        CHECK(mtf_work_close(&work, came_to[i % 2], &err) == came_to[i % 2]);
        CHECK_INT(q.n, i < 2);
    }
    watch_no_more();
}

MTF_TEST(a_work_inside_another_is_stopped_alone)
{
    questions q;
    mtf_work outer;
    mtf_work inner;
    mtf_error err = {0};
    watch(&q, 0, NULL);
    mtf_work_open(&outer);
    mtf_work_open(&inner);
    CHECK_INT(mtf_stopping(), 1);
    CHECK(mtf_work_close(&inner, MTF_OK, &err) == MTF_INTERRUPTED);
    CHECK(mtf_work_current() == &outer);
    CHECK_INT(mtf_stopping(), 0);
    CHECK(mtf_work_close(&outer, MTF_OK, &err) == MTF_OK);
    watch(&q, 0, NULL);
    mtf_work_open(&outer);
    CHECK_INT(mtf_stopping(), 1);
    mtf_work_open(&inner);
    CHECK_INT(mtf_stopping(), 0);
    CHECK(mtf_work_close(&inner, MTF_OK, &err) == MTF_OK);
    CHECK(mtf_work_close(&outer, MTF_OK, &err) == MTF_INTERRUPTED);
    watch_no_more();
}

/* ---- the pool ------------------------------------------------------------------------------------- */

static atomic_int n_begun[MOST_THREADS]; /* items, by worker */
static atomic_int n_in_vain;             /* workers whom no stop has reached */

static int a_worker_is_inside(void)
{
    return atomic_load(&n_begun[1]) + atomic_load(&n_begun[2]) > 0;
}

/* Keeps a worker until the work is stopped, and the caller until there is such a worker. */
static void hold(void *context, int64_t item, int worker)
{
    (void)context;
    (void)item;
    atomic_fetch_add(&n_begun[worker], 1);
    wait_for(worker > 0 ? mtf_stopping : a_worker_is_inside);
    atomic_fetch_add(&n_in_vain, worker > 0 && !mtf_stopping());
}

/* Runs a job of items that hold their workers, with a stop at the question number `at`. */
static void hold_until_stopped(int n_threads, int64_t n_items, int at, int (*ready)(void))
{
    const int threads = mtf_threads_get();
    questions q;
    mtf_work work;
    mtf_error err = {0};
    CHECK(mtf_threads_set(n_threads, &err) == MTF_OK);
    for (int i = 0; i < MOST_THREADS; i++) {
        atomic_store(&n_begun[i], 0);
    }
    atomic_store(&n_in_vain, 0);
    watch(&q, at, ready);
    mtf_work_open(&work);
    mtf_parallel_for(n_items, hold, NULL);
    CHECK(mtf_work_close(&work, MTF_OK, &err) == MTF_INTERRUPTED);
    watch_no_more();
    CHECK_INT(q.n, at + 1);
    CHECK_INT(q.n_by_others, 0);
    CHECK(a_worker_is_inside());
    CHECK_INT(atomic_load(&n_in_vain), 0);
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}

MTF_TEST(what_nobody_has_begun_is_left_out_after_a_stop)
{
    for (int repeat = 0; repeat < 5; repeat++) {
        hold_until_stopped(3, 1000, 0, a_worker_is_inside);
        CHECK_INT(atomic_load(&n_begun[0]), 0);
        CHECK(atomic_load(&n_begun[1]) <= 1);
        CHECK(atomic_load(&n_begun[2]) <= 1);
    }
}

MTF_TEST(a_caller_that_waits_for_its_workers_asks_too)
{
    hold_until_stopped(2, 2, 1, NULL);
    CHECK_INT(atomic_load(&n_begun[0]), 1);
    CHECK_INT(atomic_load(&n_begun[1]), 1);
}
