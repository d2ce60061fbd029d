/* threads.c: the pool behind mtf_parallel_for.
 *
 * One 64-bit word, `state`, holds the number of the job, whether it is open, and how many workers
 * are inside. A worker enters an open job by compare-and-swap; items are claimed by an atomic
 * counter; the caller works too, then closes the job and waits for those inside only, so a worker
 * that wakes late delays nobody. Workers spin for about 30 us after a job, then park. A caller
 * that finds the pool busy runs its items alone.
 * fork(): the child has no workers; a handler resets the pool, and the next job starts new ones.
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif

#include "threads.h"

#include "compiler.h"
#include "status.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define SPIN_NS     30000
/* Operations of some ten microseconds. */
#define WORTH_WAKING 131072

#define STATE_OPEN    (UINT64_C(1) << 31)
#define STATE_INSIDE  (STATE_OPEN - 1)
#define STATE_JOB     (~UINT64_C(0) << 32)
#define STATE_JOB_ONE (UINT64_C(1) << 32)

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* workers: a new job, or stop */
    pthread_cond_t left; /* caller: the last worker left */
    atomic_flag busy;
    atomic_uint_fast64_t state;
    atomic_int n_parked;
    atomic_int caller_parked;
    atomic_int stop;
    /* of the open job; written while nobody is inside */
    atomic_int_fast64_t next_item;
    int64_t n_items;
    mtf_item_fn fn;
    void *context;
    /* written under `busy` */
    pthread_t threads[MAX_THREADS];
    int numbers[MAX_THREADS]; /* argument of each thread: its worker number */
    int n_workers;            /* threads besides the caller */
    int n_asked;              /* how many were asked for; fewer may have started */
    int spins;                /* 0: more threads than CPUs, so park at once */
} pool = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .left = PTHREAD_COND_INITIALIZER,
    .busy = ATOMIC_FLAG_INIT,
};

static atomic_int n_threads_wanted; /* 0: not decided yet */
static pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int n_cpus(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < MAX_THREADS ? (int)n : 1;
}

/* MTFREEZE_THREADS, or 0 when it is not set; -1: set to something else than 1..256. */
static int threads_from_environment(void)
{
    const char *text = getenv("MTFREEZE_THREADS");
    if (text == NULL || *text == 0) {
        return 0;
    }
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    return errno == 0 && *end == 0 && n >= 1 && n <= MAX_THREADS ? (int)n : -1;
}

mtf_status mtf_threads_check(mtf_error *err)
{
    if (threads_from_environment() < 0) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "MTFREEZE_THREADS must be a whole number from 1 to %d, found '%s'; correct or "
            "unset it",
            MAX_THREADS, getenv("MTFREEZE_THREADS"));
    }
    return MTF_OK;
}

int mtf_threads_get(void)
{
    int n = atomic_load(&n_threads_wanted);
    if (n == 0) {
        int decided = threads_from_environment();
        if (decided <= 0) {
            decided = n_cpus();
        }
        decided = decided > MAX_THREADS ? MAX_THREADS : decided;
        /* a concurrent mtf_threads_set wins */
        n = atomic_compare_exchange_strong(&n_threads_wanted, &n, decided) ? decided : n;
    }
    return n;
}

mtf_status mtf_threads_set(int n_threads, mtf_error *err)
{
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "the number of threads must be from 1 to %d, found %d; this process may use "
            "%d CPUs",
            MAX_THREADS, n_threads, n_cpus());
    }
    atomic_store(&n_threads_wanted, n_threads);
    return MTF_OK;
}

/* Spins until `state` differs from `seen` in the bits of `mask`; 0: it did not within the time. */
static int spin_for_change(uint64_t seen, uint64_t mask)
{
    int64_t end = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if ((atomic_load_explicit(&pool.state, memory_order_relaxed) & mask) != (seen & mask)) {
                return 1;
            }
            MTF_CPU_PAUSE();
        }
    } while (now_ns() < end);
    return 0;
}

static void run_items(int worker)
{
    for (;;) {
        int64_t item = atomic_fetch_add_explicit(&pool.next_item, 1, memory_order_relaxed);
        if (item >= pool.n_items) {
            return;
        }
        pool.fn(pool.context, item, worker);
    }
}

/* Takes part in the job numbered as in `seen`, unless it was closed. */
static void join_job(int worker)
{
    uint64_t state = atomic_load(&pool.state);
    do {
        if ((state & STATE_OPEN) == 0) {
            return;
        }
    } while (!atomic_compare_exchange_weak(&pool.state, &state, state + 1));
    run_items(worker);
    state = atomic_fetch_sub(&pool.state, 1) - 1;
    if ((state & (STATE_OPEN | STATE_INSIDE)) == 0 && atomic_load(&pool.caller_parked)) {
        (void)pthread_mutex_lock(&pool.mutex);
        (void)pthread_cond_signal(&pool.left);
        (void)pthread_mutex_unlock(&pool.mutex);
    }
}

static void *worker_main(void *argument)
{
    const int worker = *(const int *)argument;
    uint64_t seen = 0;
    for (;;) {
        if ((!pool.spins || !spin_for_change(seen, STATE_JOB)) && !atomic_load(&pool.stop)) {
            (void)pthread_mutex_lock(&pool.mutex);
            atomic_fetch_add(&pool.n_parked, 1);
            while (((atomic_load(&pool.state) ^ seen) & STATE_JOB) == 0 &&
                   !atomic_load(&pool.stop)) {
                (void)pthread_cond_wait(&pool.wake, &pool.mutex);
            }
            atomic_fetch_sub(&pool.n_parked, 1);
            (void)pthread_mutex_unlock(&pool.mutex);
        }
        if (atomic_load(&pool.stop)) {
            return NULL;
        }
        seen = atomic_load(&pool.state);
        join_job(worker);
    }
}

static void wake_workers(void)
{
    if (atomic_load(&pool.n_parked) > 0) {
        (void)pthread_mutex_lock(&pool.mutex);
        (void)pthread_cond_broadcast(&pool.wake);
        (void)pthread_mutex_unlock(&pool.mutex);
    }
}

/* In the child of a fork the other threads do not exist. */
static void reset_in_child(void)
{
    (void)pthread_mutex_init(&pool.mutex, NULL);
    (void)pthread_cond_init(&pool.wake, NULL);
    (void)pthread_cond_init(&pool.left, NULL);
    atomic_store(&pool.n_parked, 0);
    atomic_store(&pool.caller_parked, 0);
    atomic_store(&pool.state, 0);
    pool.n_workers = 0;
    pool.n_asked = 0;
    atomic_flag_clear(&pool.busy);
}

static void install_fork_handler(void)
{
    (void)pthread_atfork(NULL, NULL, reset_in_child);
}

static void stop_workers(void)
{
    atomic_store(&pool.stop, 1);
    atomic_fetch_add(&pool.state, STATE_JOB_ONE);
    wake_workers();
    for (int i = 1; i <= pool.n_workers; i++) {
        (void)pthread_join(pool.threads[i], NULL);
    }
    pool.n_workers = 0;
    atomic_store(&pool.stop, 0);
}

/* Brings the pool to n - 1 workers, or as many as the system gives. Called under `busy`. */
static void resize(int n)
{
    if (n - 1 == pool.n_asked) {
        return;
    }
    (void)pthread_once(&fork_handler_once, install_fork_handler);
    stop_workers();
    pool.n_asked = n - 1;
    pool.spins = n <= n_cpus();
    atomic_store(&pool.state, 0);
    /* signals belong to the threads of the application */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < n; i++) {
        pool.numbers[i] = i;
        if (pthread_create(&pool.threads[i], NULL, worker_main, &pool.numbers[i]) != 0) {
            break;
        }
        pool.n_workers = i;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wait_for_those_inside(void)
{
    uint64_t state = atomic_fetch_and(&pool.state, ~STATE_OPEN) & ~STATE_OPEN;
    while ((state & STATE_INSIDE) != 0) {
        if (!pool.spins || !spin_for_change(state, STATE_INSIDE)) {
            (void)pthread_mutex_lock(&pool.mutex);
            atomic_store(&pool.caller_parked, 1);
            while ((atomic_load(&pool.state) & STATE_INSIDE) != 0) {
                (void)pthread_cond_wait(&pool.left, &pool.mutex);
            }
            atomic_store(&pool.caller_parked, 0);
            (void)pthread_mutex_unlock(&pool.mutex);
        }
        state = atomic_load(&pool.state);
    }
}

static void run_alone(int64_t n_items, mtf_item_fn fn, void *context)
{
    for (int64_t i = 0; i < n_items; i++) {
        fn(context, i, 0);
    }
}

void mtf_parallel_work(int64_t n_items, int64_t n_operations, mtf_item_fn fn, void *context)
{
    if (n_operations < WORTH_WAKING) {
        run_alone(n_items, fn, context);
    } else {
        mtf_parallel_for(n_items, fn, context);
    }
}

void mtf_parallel_for(int64_t n_items, mtf_item_fn fn, void *context)
{
    int n = mtf_threads_get();
    if (n_items <= 1 || n <= 1 || atomic_flag_test_and_set(&pool.busy)) {
        run_alone(n_items, fn, context);
        return;
    }
    resize(n);
    pool.n_items = n_items;
    pool.fn = fn;
    pool.context = context;
    atomic_store(&pool.next_item, 0);
    uint64_t job = (atomic_load(&pool.state) & STATE_JOB) + STATE_JOB_ONE;
    atomic_store(&pool.state, job | STATE_OPEN);
    wake_workers();
    run_items(0);
    wait_for_those_inside();
    atomic_flag_clear(&pool.busy);
}
