/* threads.c: the pool behind mtf_parallel_for.
 *
 * `latest` holds the number of the latest job and how many workers it is for: all that waiting
 * workers look at, written once a job. A worker counts itself into `inside`; if the job is open by
 * then it claims items, several at a time while many are left; the caller works too, then closes
 * the job and waits for those inside only, so a worker that wakes late delays nobody. Workers spin
 * for about 30 us after a job, then park. A caller that finds the pool busy runs its items alone.
 * What different threads write lies in different cache lines.
 * fork(): the child has no workers; a handler resets the pool, and the next job starts new ones. It is
 * there from the first question for the number of threads on, before any lock is taken.
 * SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include "compiler.h"
#include "quota.h"
#include "status.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 256
/* Long enough for the short serial parts between two jobs. */
#define SPIN_NS 30000
/* How long the caller goes on asking for the last item, giving its CPU to whoever wants it:
 * mostly that takes less time than waking up. */
#define ASK_NS 200000
/* A caller that waits longer asks this often whether to stop. */
#define STOP_NS 10000000
/* Operations of some ten microseconds. */
#define WORTH_WAKING 131072
/* A claim is this part of a worker's fair share of what is left, or one item: few claims, and the
 * last ones are small. */
#define CLAIMS_PER_SHARE 4

/* Two lines of 64 bytes: some processors fetch them in pairs. */
#define OWN_LINE MTF_ALIGNED(128)

/* of `latest`; the number of the job is above it */
#define JOB_WORKERS UINT64_C(0xffff)
/* of `inside` */
#define OPEN   (1U << 31)
#define INSIDE (OPEN - 1U)

static struct {
    OWN_LINE atomic_uint_fast64_t latest; /* number of the job, and its workers with the caller */
    OWN_LINE atomic_uint inside;          /* OPEN, and how many workers are inside */
    /* of the open job; all but next_item written while nobody is inside. One line with `inside`:
     * who counts itself in has what it needs next. */
    atomic_int_fast64_t next_item;
    int64_t n_items;
    int64_t n_claims; /* an unclaimed rest is cut by this */
    mtf_item_fn fn;
    void *context;
    mtf_work *work;               /* of the caller */
    OWN_LINE atomic_int n_parked; /* each job asks */
    atomic_int caller_parked;
    atomic_int stop;
    int spins; /* 0: more threads than CPUs, so park at once */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* workers: a new job, or stop */
    pthread_cond_t left; /* caller: the last worker left */
    /* written under `busy` */
    OWN_LINE atomic_flag busy;
    int n_workers;            /* threads besides the caller */
    int n_asked;              /* how many were asked for; fewer may have started */
    int numbers[MAX_THREADS]; /* argument of each thread: its worker number */
    pthread_t threads[MAX_THREADS];
} pool = {
    .busy = ATOMIC_FLAG_INIT,
};

static atomic_int n_threads_wanted; /* 0: not decided yet */
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
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

/* The clock that waiting goes by; the same that now_ns() reads, where there is a choice. */
#ifdef __APPLE__
#define WAIT_CLOCK CLOCK_REALTIME
#else
#define WAIT_CLOCK CLOCK_MONOTONIC
#endif

static void init_locks(void)
{
    pthread_condattr_t by_clock;
    (void)pthread_condattr_init(&by_clock);
#ifndef __APPLE__
    (void)pthread_condattr_setclock(&by_clock, WAIT_CLOCK);
#endif
    (void)pthread_mutex_init(&pool.mutex, NULL);
    (void)pthread_cond_init(&pool.wake, NULL);
    (void)pthread_cond_init(&pool.left, &by_clock);
    (void)pthread_condattr_destroy(&by_clock);
}

/* In the child of a fork the other threads do not exist, whatever they held. */
static void reset_in_child(void)
{
    init_locks();
    atomic_store(&pool.n_parked, 0);
    atomic_store(&pool.caller_parked, 0);
    atomic_store(&pool.stop, 0);
    atomic_store(&pool.inside, 0);
    atomic_store(&pool.latest, 0);
    pool.n_workers = 0;
    pool.n_asked = 0;
    atomic_flag_clear(&pool.busy);
}

static void prepare_pool(void)
{
    init_locks();
    (void)pthread_atfork(NULL, NULL, reset_in_child);
}

int mtf_threads_get(void)
{
    (void)pthread_once(&pool_once, prepare_pool);
    int n = atomic_load(&n_threads_wanted);
    if (n == 0) {
        int decided = threads_from_environment();
        if (decided <= 0) {
            decided = mtf_usable_cpus();
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
            MAX_THREADS, n_threads, mtf_usable_cpus());
    }
    atomic_store(&n_threads_wanted, n_threads);
    return MTF_OK;
}

int mtf_workers(void)
{
    const mtf_work *work = mtf_work_current();
    return work != NULL ? work->n_workers : mtf_threads_get();
}

static int has_news(uint64_t seen)
{
    return atomic_load_explicit(&pool.latest, memory_order_acquire) != seen;
}

static int all_left(void)
{
    return (atomic_load(&pool.inside) & INSIDE) == 0;
}

/* 1 as soon as there is another job than `seen`, 0: there was none within the time. */
static int spin_for_news(uint64_t seen)
{
    int64_t end = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 64; i++) {
            if (has_news(seen)) {
                return 1;
            }
            MTF_CPU_PAUSE();
        }
    } while (now_ns() < end);
    return 0;
}

/* 1 as soon as no worker is inside, 0: one was, all the time. */
static int spin_for_the_last(void)
{
    int64_t begin = now_ns();
    int64_t now = begin;
    do {
        for (int i = 0; i < 64; i++) {
            if (all_left()) {
                return 1;
            }
            MTF_CPU_PAUSE();
        }
        now = now_ns();
        if (now > begin + SPIN_NS) {
            (void)sched_yield();
        }
    } while (now < begin + ASK_NS);
    return 0;
}

static void run_items(int worker)
{
    const int64_t n_items = pool.n_items;
    int64_t first = atomic_load_explicit(&pool.next_item, memory_order_relaxed);
    for (;;) {
        int64_t n;
        do {
            if (first >= n_items) {
                return;
            }
            n = (n_items - first) / pool.n_claims;
            n = n > 1 ? n : 1;
        } while (!atomic_compare_exchange_weak_explicit(
            &pool.next_item, &first, first + n, memory_order_relaxed, memory_order_relaxed));
        for (int64_t i = first; i < first + n; i++) {
            if (mtf_stopping()) {
                return;
            }
            pool.fn(pool.context, i, worker);
        }
        first = atomic_load_explicit(&pool.next_item, memory_order_relaxed);
    }
}

/* Takes part in the open job, if there is one. Between two jobs the count goes up and down again:
 * callers therefore add to `inside` and never store. */
static void join_job(int worker)
{
    if ((atomic_fetch_add(&pool.inside, 1) & OPEN) != 0) {
        mtf_work_join(pool.work);
        run_items(worker);
        mtf_work_join(NULL);
    }
    if (atomic_fetch_sub(&pool.inside, 1) == 1 && atomic_load(&pool.caller_parked)) {
        (void)pthread_mutex_lock(&pool.mutex);
        (void)pthread_cond_signal(&pool.left);
        (void)pthread_mutex_unlock(&pool.mutex);
    }
}

static void park(uint64_t seen)
{
    (void)pthread_mutex_lock(&pool.mutex);
    atomic_fetch_add(&pool.n_parked, 1);
    while (atomic_load(&pool.latest) == seen && !atomic_load(&pool.stop)) {
        (void)pthread_cond_wait(&pool.wake, &pool.mutex);
    }
    atomic_fetch_sub(&pool.n_parked, 1);
    (void)pthread_mutex_unlock(&pool.mutex);
}

static void *worker_main(void *argument)
{
    const int worker = *(const int *)argument;
    uint64_t seen = 0;
    while (!atomic_load(&pool.stop)) {
        if ((!pool.spins || !spin_for_news(seen)) && !has_news(seen)) {
            park(seen);
        }
        seen = atomic_load(&pool.latest);
        if ((seen & JOB_WORKERS) > (uint64_t)worker) {
            join_job(worker);
        }
    }
    return NULL;
}

static void wake_workers(void)
{
    if (atomic_load(&pool.n_parked) > 0) {
        /* Whoever is counted holds the mutex until it waits; woken after it is let go, they do not
         * queue for it behind the caller. */
        (void)pthread_mutex_lock(&pool.mutex);
        (void)pthread_mutex_unlock(&pool.mutex);
        (void)pthread_cond_broadcast(&pool.wake);
    }
}

static void stop_workers(void)
{
    atomic_store(&pool.stop, 1);
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
    stop_workers();
    pool.n_asked = n - 1;
    pool.spins = n <= mtf_usable_cpus();
    atomic_store(&pool.latest, 0);
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

/* Until no worker is inside, or for STOP_NS. */
static void park_caller(void)
{
    struct timespec end;
    (void)clock_gettime(WAIT_CLOCK, &end);
    end.tv_nsec += STOP_NS;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    int waited = 0;
    (void)pthread_mutex_lock(&pool.mutex);
    atomic_store(&pool.caller_parked, 1);
    while (!all_left() && waited == 0) {
        waited = pthread_cond_timedwait(&pool.left, &pool.mutex, &end);
    }
    atomic_store(&pool.caller_parked, 0);
    (void)pthread_mutex_unlock(&pool.mutex);
}

static void wait_for_those_inside(void)
{
    if ((atomic_fetch_and(&pool.inside, ~OPEN) & INSIDE) == 0 ||
        (pool.spins && spin_for_the_last())) {
        return;
    }
    while (!all_left()) {
        park_caller();
        (void)mtf_stopping(); /* those inside look at the answer */
    }
}

static void run_alone(int64_t n_items, mtf_item_fn fn, void *context)
{
    for (int64_t i = 0; i < n_items && !mtf_stopping(); i++) {
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
    const int n = mtf_workers();
    if (n_items <= 1 || n <= 1 || atomic_flag_test_and_set(&pool.busy)) {
        run_alone(n_items, fn, context);
        return;
    }
    resize(n);
    pool.n_items = n_items;
    pool.n_claims = (int64_t)n * CLAIMS_PER_SHARE;
    pool.fn = fn;
    pool.context = context;
    pool.work = mtf_work_current();
    atomic_store_explicit(&pool.next_item, 0, memory_order_relaxed);
    atomic_fetch_add(&pool.inside, OPEN);
    /* a worker that sees the number finds the job open, or closed again */
    uint64_t job = (atomic_load_explicit(&pool.latest, memory_order_relaxed) | JOB_WORKERS) + 1;
    atomic_store(&pool.latest, job | (uint64_t)(n_items < n ? n_items : n));
    wake_workers();
    run_items(0);
    wait_for_those_inside();
    atomic_flag_clear(&pool.busy);
}
