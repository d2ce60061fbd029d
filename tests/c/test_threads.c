/* The thread pool: each item once, any number of threads, two callers, fork; CPUs that may be used.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/quota.h"
#include "base/threads.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ITEMS 2000

/* gcc defines one, clang has the other */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

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
#if UNDER_TSAN
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

typedef struct other_caller {
    atomic_int stop;
    atomic_int n_jobs;
    int right;
} other_caller;

static void *keep_the_pool_busy(void *context)
{
    other_caller *other = context;
    job *j = calloc(1, sizeof *j);
    other->right = 1;
    while (!atomic_load(&other->stop)) {
        other->right &= run_and_check(j, MOST_ITEMS);
        atomic_fetch_add(&other->n_jobs, 1);
    }
    free(j);
    return NULL;
}

MTF_TEST(a_child_forked_in_the_middle_of_a_job_has_a_pool_of_its_own)
{
#if UNDER_TSAN
    SKIP("thread sanitizer cannot start threads after a fork");
#endif
    static job j;
    static other_caller other;
    pthread_t thread;
    use_threads(3);
    CHECK(pthread_create(&thread, NULL, keep_the_pool_busy, &other) == 0);
    while (atomic_load(&other.n_jobs) < 10) {
        (void)sched_yield();
    }
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(20); /* a hang ends here */
            int right = 1;
            for (int repeat = 0; repeat < 5; repeat++) {
                right &= run_and_check(&j, 200);
            }
            mtf_error err;
            right &= mtf_threads_set(2, &err) == MTF_OK && run_and_check(&j, 200);
            _exit(right ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&other.stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(other.right);
}

static void *change_the_number(void *context)
{
    other_caller *other = context;
    for (int i = 0; !atomic_load(&other->stop); i++) {
        mtf_error err;
        if (mtf_threads_set(1 + i % 5, &err) != MTF_OK) {
            other->right = 0;
        }
        (void)sched_yield();
    }
    return NULL;
}

MTF_TEST(the_number_may_change_while_others_call)
{
    static job j;
    static other_caller others[2];
    pthread_t threads[2];
    others[0].right = 1;
    CHECK(pthread_create(&threads[0], NULL, change_the_number, &others[0]) == 0);
    CHECK(pthread_create(&threads[1], NULL, keep_the_pool_busy, &others[1]) == 0);
    for (int i = 0; i < 300; i++) {
        CHECK(run_and_check(&j, test_integer(1, 50)));
    }
    for (int t = 0; t < 2; t++) {
        atomic_store(&others[t].stop, 1);
        CHECK(pthread_join(threads[t], NULL) == 0);
        CHECK(others[t].right);
    }
}

typedef struct meeting {
    atomic_int n_there;
    atomic_int n_alone; /* items that waited in vain */
} meeting;

/* Holds its worker until every other one has an item too. */
static void meet(void *context, int64_t item, int worker)
{
    meeting *m = context;
    (void)item;
    (void)worker;
    atomic_fetch_add(&m->n_there, 1);
    const struct timespec tick = {0, 1000000};
    for (int i = 0; i < 20000 && atomic_load(&m->n_there) < 4; i++) {
        (void)nanosleep(&tick, NULL);
    }
    atomic_fetch_add(&m->n_alone, atomic_load(&m->n_there) < 4);
}

MTF_TEST(as_many_items_as_threads_run_at_once)
{
    use_threads(4);
    for (int i = 0; i < 5; i++) {
        meeting m;
        atomic_init(&m.n_there, 0);
        atomic_init(&m.n_alone, 0);
        mtf_parallel_for(4, meet, &m);
        CHECK_INT(atomic_load(&m.n_there), 4);
        CHECK_INT(atomic_load(&m.n_alone), 0);
    }
}

MTF_TEST(a_forked_child_has_as_many_workers)
{
#if UNDER_TSAN
    SKIP("thread sanitizer cannot start threads after a fork");
#endif
    static job j;
    use_threads(4);
    CHECK(run_and_check(&j, 100));
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(5); /* workers that are not there are waited for in vain */
        meeting m;
        atomic_init(&m.n_there, 0);
        atomic_init(&m.n_alone, 0);
        mtf_parallel_for(4, meet, &m);
        _exit(atomic_load(&m.n_alone) == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
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

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(file);
}

static void put_folder(char *path, size_t size, const char *root, const char *inside)
{
    (void)snprintf(path, size, "%s%s", root, inside);
    CHECK(mkdir(path, 0700) == 0);
}

MTF_TEST(quotas_of_control_groups_are_found)
{
    char root[] = "/tmp/mtf-quota-XXXXXX";
    if (!CHECK(mkdtemp(root) != NULL)) {
        return;
    }
    char groups[256], slice[256], job_group[256], cpu[256], docker[256];
    (void)snprintf(groups, sizeof groups, "%s/groups", root);
    CHECK_INT(mtf_quota_cpus(groups, root), 0); /* no such file */

    put_folder(slice, sizeof slice, root, "/slice");
    put_folder(job_group, sizeof job_group, root, "/slice/job");
    put_file(root, "groups", "0::/slice/job\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 0);
    put_file(job_group, "cpu.max", "max 100000\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 0);
    put_file(job_group, "cpu.max", "400000 100000\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 4);
    put_file(slice, "cpu.max", "250000 100000\n"); /* that of a group above, rounded up */
    CHECK_INT(mtf_quota_cpus(groups, root), 3);
    put_file(job_group, "cpu.max", "50000 100000\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 1);
    put_file(root, "groups", "0::/of/the/host\n"); /* in a container: the root is its own */
    CHECK_INT(mtf_quota_cpus(groups, root), 0);
    put_file(root, "cpu.max", "200000 100000");
    CHECK_INT(mtf_quota_cpus(groups, root), 2);
    put_file(root, "cpu.max", "many");
    CHECK_INT(mtf_quota_cpus(groups, root), 0);

    /* version 1, alone and beside version 2 */
    put_folder(cpu, sizeof cpu, root, "/cpu");
    put_folder(docker, sizeof docker, root, "/cpu/docker");
    put_file(root, "groups", "5:memory:/docker\n4:cpu,cpuacct:/docker\n0::/slice\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 3);
    put_file(docker, "cpu.cfs_quota_us", "-1\n");
    put_file(docker, "cpu.cfs_period_us", "100000\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 3);
    put_file(docker, "cpu.cfs_quota_us", "150000\n");
    CHECK_INT(mtf_quota_cpus(groups, root), 2);
    put_file(root, "groups", "no colon\n::\n4:cpu:/docker");
    CHECK_INT(mtf_quota_cpus(groups, root), 2);

    static const char *const left[] = {"cpu/docker/cpu.cfs_quota_us",
                                       "cpu/docker/cpu.cfs_period_us",
                                       "cpu/docker",
                                       "cpu",
                                       "slice/job/cpu.max",
                                       "slice/job",
                                       "slice/cpu.max",
                                       "slice",
                                       "cpu.max",
                                       "groups",
                                       "."};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", root, left[i]);
        CHECK(remove(left[i][0] == '.' ? root : path) == 0);
    }
    CHECK(mtf_usable_cpus() >= 1);
}
