/* The thread pool: each item once, any number of threads, two callers, fork.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ITEMS 2000

typedef struct job {
    atomic_int done[MOST_ITEMS];
    atomic_int worst_worker;
    int64_t sum_place[MOST_ITEMS];
} job;

static void mark(void *context, int64_t item, int worker)
{
    job *j = context;
    atomic_fetch_add(&j->done[item], 1);
    j->sum_place[item] = item * item;
    int worst = atomic_load(&j->worst_worker);
    while (worker > worst && !atomic_compare_exchange_weak(&j->worst_worker, &worst, worker)) {
    }
}

static int run_and_check(job *j, int64_t n)
{
    int right = 1;
    for (int64_t i = 0; i < n; i++) {
        atomic_store(&j->done[i], 0);
    }
    mtf_parallel_for(n, mark, j);
    for (int64_t i = 0; i < n; i++) {
        right &= atomic_load(&j->done[i]) == 1 && j->sum_place[i] == i * i;
    }
    return right;
}

static void use_threads(int n)
{
    mtf_error err = {MTF_OK, ""};
    CHECK_MSG(mtf_threads_set(n, &err) == MTF_OK, err.text);
    CHECK_INT(mtf_threads_get(), n);
}

MTF_TEST(each_item_once_at_every_number_of_threads)
{
    static job j;
    static const int n_threads[] = {1, 2, 3, 4, 8, 5, 1, 2};
    for (size_t t = 0; t < sizeof n_threads / sizeof *n_threads; t++) {
        use_threads(n_threads[t]);
        for (int64_t n = 0; n < 12; n++) {
            CHECK(run_and_check(&j, n));
        }
        for (int repeat = 0; repeat < 50; repeat++) {
            CHECK(run_and_check(&j, test_integer(1, MOST_ITEMS)));
        }
        CHECK(atomic_load(&j.worst_worker) < 8);
    }
}

MTF_TEST(workers_are_found_again_after_they_parked)
{
    static job j;
    use_threads(3);
    for (int i = 0; i < 10; i++) {
        CHECK(run_and_check(&j, 100));
        const struct timespec two_ms = {0, 2000000};
        (void)nanosleep(&two_ms, NULL);
    }
}

static void *second_caller(void *context)
{
    int *right = context;
    job *j = calloc(1, sizeof *j);
    *right = 1;
    for (int i = 0; i < 300; i++) {
        *right &= run_and_check(j, 40);
    }
    free(j);
    return NULL;
}

MTF_TEST(several_callers_at_once)
{
    enum { CALLERS = 4 };
    pthread_t threads[CALLERS];
    int right[CALLERS];
    use_threads(4);
    for (int t = 0; t < CALLERS; t++) {
        CHECK(pthread_create(&threads[t], NULL, second_caller, &right[t]) == 0);
    }
    for (int t = 0; t < CALLERS; t++) {
        CHECK(pthread_join(threads[t], NULL) == 0);
        CHECK(right[t]);
    }
}

MTF_TEST(a_forked_child_has_a_pool_of_its_own)
{
#ifdef __SANITIZE_THREAD__
    SKIP("thread sanitizer cannot start threads after a fork");
#endif
    static job j;
    use_threads(3);
    CHECK(run_and_check(&j, 100));
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(20); /* a hang ends here */
            int right = 1;
            for (int repeat = 0; repeat < 20; repeat++) {
                right &= run_and_check(&j, 200);
            }
            _exit(right ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(run_and_check(&j, 100));
    }
}

MTF_TEST(little_work_stays_with_the_caller)
{
    static job j;
    use_threads(4);
    atomic_store(&j.worst_worker, 0);
    for (int repeat = 0; repeat < 200; repeat++) {
        mtf_parallel_work(MOST_ITEMS, 1000, mark, &j);
    }
    CHECK_INT(atomic_load(&j.worst_worker), 0);
    mtf_parallel_work(MOST_ITEMS, INT64_MAX, mark, &j);
    for (int i = 0; i < MOST_ITEMS; i++) {
        CHECK_INT(atomic_load(&j.done[i]), 201);
    }
}

MTF_TEST(wrong_numbers_are_refused)
{
    mtf_error err = {MTF_OK, ""};
    use_threads(2);
    CHECK(mtf_threads_set(0, &err) == MTF_ERR_VALUE);
    CHECK(mtf_threads_set(257, &err) == MTF_ERR_VALUE);
    CHECK(strstr(err.text, "257") != NULL);
    CHECK_INT(mtf_threads_get(), 2);
}

/* MTFREEZE_THREADS is read once a process: children with other values say what they got. */
static int child_threads(const char *value)
{
    pid_t child = fork();
    if (child == 0) {
        mtf_error err;
        _exit(mtf_threads_check(&err) == MTF_OK ? (value != NULL ? mtf_threads_get() : 1) : 200);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

MTF_TEST(a_wrong_environment_is_said)
{
    CHECK(setenv("MTFREEZE_THREADS", "many", 1) == 0);
    CHECK_INT(child_threads("many"), 200);
    CHECK(setenv("MTFREEZE_THREADS", "0", 1) == 0);
    CHECK_INT(child_threads("0"), 200);
    CHECK(setenv("MTFREEZE_THREADS", "7", 1) == 0);
    CHECK_INT(child_threads("7"), 2); /* 2 was set by a call: that wins */
    CHECK(unsetenv("MTFREEZE_THREADS") == 0);
    CHECK_INT(child_threads(NULL), 1);
}
