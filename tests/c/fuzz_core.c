/* Random legal and illegal calls of mtfreeze.h, in any order, on two models at a time.
 *
 *   fuzz_core SEED COUNT            COUNT cases, each from its own seed: SEED, SEED + 1, ...
 *   fuzz_core SEED COUNT THREADS    as many threads run COUNT cases each, on models of their own, and
 *                                   change the number of worker threads in between
 *
 * After every call: the status is what mtfreeze.h says, with a text if it refuses; weights are where the
 * shadow (fuzz_model.h) has them; what is held stays readable. In the end a fresh model with the same
 * weights must compute the same bits, with another number of threads, and no memory may be left. The
 * sanitizers watch over the rest. Exit status 1, with the seed of the case, when something does not hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_changes.h"

#include <inttypes.h>
#include <pthread.h>

#define CALLS_PER_CASE 60
#define MOST_THREADS   16

/* Readers call the core; who sets the number of threads writes: mtfreeze.h asks for that. */
static pthread_rwlock_t at_work = PTHREAD_RWLOCK_INITIALIZER;

typedef struct job {
    uint64_t seed;
    int64_t count;
    int alone; /* 1: no other thread, so allocations may be made to fail */
    int failed;
} job;

static const struct {
    void (*call)(fuzz *f);
    const char *name;
    int weight;
} CALLS[] = {
    {fuzz_call_begin, "train_begin", 6},
    {fuzz_call_train_forward, "train_forward", 10},
    {fuzz_call_train_outputs, "train_outputs", 4},
    {fuzz_call_backward, "train_backward", 12},
    {fuzz_call_gradients, "train_gradients", 5},
    {fuzz_call_apply, "train_apply", 8},
    {fuzz_call_reset, "train_reset", 1},
    {fuzz_call_forward, "forward", 6},
    {fuzz_call_set_frozen, "set_frozen", 3},
    {fuzz_call_set_precision, "set_precision", 2},
    {fuzz_call_set_param, "set_param", 2},
    {fuzz_call_set_state, "set_state", 3},
    {fuzz_call_set_gradient, "set_gradient", 3},
    {fuzz_call_add_head, "add_head", 3},
    {fuzz_call_remove_head, "remove_head", 2},
    {fuzz_call_plan, "get_plan", 4},
    {fuzz_call_prefix, "get_prefix", 2},
    {fuzz_call_loss, "get_loss", 1},
    {fuzz_call_hold, "hold_values", 2},
};
#define N_CALLS (sizeof CALLS / sizeof *CALLS)

static void one_call(fuzz *f)
{
    int64_t total = 0;
    for (size_t i = 0; i < N_CALLS; i++) {
        total += CALLS[i].weight;
    }
    int64_t at = fuzz_below(f, total);
    size_t i = 0;
    while (at >= CALLS[i].weight) {
        at -= CALLS[i++].weight;
    }
    f->call = CALLS[i].name;
    (void)pthread_rwlock_rdlock(&at_work);
    CALLS[i].call(f);
    fuzz_check(f);
    (void)pthread_rwlock_unlock(&at_work);
}

static void set_threads(fuzz *f)
{
    static const int counts[] = {1, 2, 3, 4, 0, -1, 257, INT32_MIN};
    const int64_t i = fuzz_below(f, 8);
    mtf_error err = {MTF_OK, ""};
    f->call = "threads_set";
    (void)pthread_rwlock_wrlock(&at_work);
    fuzz_expect(f, mtf_threads_set(counts[i], &err), &err, i < 4 ? FUZZ_OK : FUZZ_REFUSED);
    (void)pthread_rwlock_unlock(&at_work);
}

/* What a fresh model with the same weights gives, the used one gives. */
static void compare_with_a_twin(fuzz *f)
{
    fuzz twin = {.call = "a fresh model with the same weights"};
    fuzz_bytes fresh = {NULL, 0}, used = {NULL, 0};
    const uint64_t seed = fuzz_random(f);
    (void)pthread_rwlock_rdlock(&at_work);
    fuzz_twin(&twin, f);
    twin.random = seed;
    fuzz_results(&twin, &fresh);
    (void)pthread_rwlock_unlock(&at_work);
    set_threads(f);
    (void)pthread_rwlock_rdlock(&at_work);
    f->call = twin.call;
    f->random = seed;
    fuzz_results(f, &used);
    if (fresh.n != used.n || memcmp(fresh.data, used.data, used.n) != 0) {
        fuzz_fail(f, "it gives other bits (%zu and %zu bytes)", fresh.n, used.n);
    }
    fuzz_end(&twin);
    (void)pthread_rwlock_unlock(&at_work);
    free(fresh.data);
    free(used.data);
}

/* One case; 1: all held. */
static int run_case(uint64_t seed, int alone)
{
    fuzz pair[2] = {{.random = seed, .can_fail = alone}, {.random = ~seed, .can_fail = alone}};
    int right = 1;
    for (int m = 0; m < 2; m++) {
        fuzz_begin(&pair[m]);
    }
    for (int i = 0; i < CALLS_PER_CASE; i++) {
        fuzz *f = &pair[fuzz_below(&pair[0], 2)];
        if (fuzz_once_in(f, 20)) {
            set_threads(f);
        } else {
            one_call(f);
        }
        if (f->failure[0] != 0) {
            break;
        }
    }
    for (int m = 0; m < 2; m++) {
        if (pair[m].failure[0] == 0) {
            compare_with_a_twin(&pair[m]);
        }
        fuzz_end(&pair[m]);
        if (pair[m].failure[0] != 0) {
            fprintf(stderr, "case %" PRIu64 ", model %d: %s\n", seed, m, pair[m].failure);
            right = 0;
        }
    }
    return right;
}

static void *run_cases(void *context)
{
    job *j = context;
    for (int64_t i = 0; i < j->count && j->failed < 5; i++) {
        j->failed += !run_case(j->seed + (uint64_t)i, j->alone);
    }
    return NULL;
}

static int run_threads(uint64_t seed, int64_t count, int n_threads)
{
    pthread_t threads[MOST_THREADS];
    job jobs[MOST_THREADS];
    int failed = 0;
    for (int t = 0; t < n_threads; t++) {
        jobs[t] = (job){seed + (uint64_t)t * UINT64_C(1000000), count, 0, 0};
        if (pthread_create(&threads[t], NULL, run_cases, &jobs[t]) != 0) {
            return 1;
        }
    }
    for (int t = 0; t < n_threads; t++) {
        (void)pthread_join(threads[t], NULL);
        failed += jobs[t].failed;
    }
    return failed;
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    const int64_t count = argc > 2 ? strtoll(argv[2], NULL, 0) : 100;
    const int n_threads = argc > 3 ? atoi(argv[3]) : 0;
    mtf_error err = {MTF_OK, ""};
    mtf_memory_info before, after;
    if (count < 1 || n_threads < 0 || n_threads > MOST_THREADS ||
        mtf_runtime_init(NULL, &err) != MTF_OK) {
        fprintf(stderr, "fuzz_core SEED COUNT [THREADS, at most %d] %s\n", MOST_THREADS, err.text);
        return 2;
    }
    mtf_memory_get(&before);
    job alone = {seed, count, 1, 0};
    int failed = 0;
    if (n_threads == 0) {
        (void)run_cases(&alone);
        failed = alone.failed;
    } else {
        failed = run_threads(seed, count, n_threads);
    }
    mtf_memory_get(&after);
    if (after.bytes_now != before.bytes_now) {
        fprintf(stderr, "%" PRIu64 " bytes were left\n", after.bytes_now - before.bytes_now);
        failed++;
    }
    printf("%" PRId64 " cases from seed %" PRIu64 ", %d failed\n", count, seed, failed);
    return failed != 0;
}
