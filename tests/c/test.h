/* The test harness: one header, one executable per test file.
 *
 *   MTF_TEST(adds_up) { CHECK(1 + 1 == 2); CHECK_CLOSE(y, 0.5, 1e-6); }
 *
 * Tests register themselves and run in file order; a failed check prints file:line and the test goes on.
 * `main` is here: it runs all tests, or those whose names hold the first argument, and exits 1 when a
 * check failed. Random inputs come from test_uniform and its kin; the seed is printed and can be given
 * as MTF_TEST_SEED. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TEST_H
#define MTF_TEST_H

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

typedef struct {
    test_case *first;
    test_case **last; /* where the next case is linked in; NULL before the first */
    uint64_t random;  /* state of the random stream (splitmix64) */
    int64_t checks;
    int64_t failures;
    const char *skipped; /* reason given by the running test, or NULL */
} test_state;

static test_state test_now;

#define MTF_TEST(NAME)                                                                             \
    static void NAME(void);                                                                        \
    static test_case test_case_##NAME = {#NAME, NAME, NULL};                                       \
    __attribute__((constructor)) static void test_register_##NAME(void)                            \
    {                                                                                              \
        test_link(&test_case_##NAME);                                                              \
    }                                                                                              \
    static void NAME(void)

static inline void test_link(test_case *one)
{
    *(test_now.last != NULL ? test_now.last : &test_now.first) = one;
    test_now.last = &one->next;
}

/* Counts a check; prints where and what when it failed. Returns `ok`. */
static inline int test_check(int ok, const char *file, int line, const char *what)
{
    test_now.checks++;
    if (!ok) {
        test_now.failures++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
    return ok;
}

static inline int test_close(double got, double want, double tolerance, const char *file, int line,
                             const char *what)
{
    /* written so that NaN on either side fails; equal infinities pass */
    int ok = got == want || fabs(got - want) <= tolerance;
    test_check(ok, file, line, what);
    if (!ok) {
        fprintf(stderr, "    got %.9g, expected %.9g, difference %.3g, tolerance %.3g\n", got, want,
                fabs(got - want), tolerance);
    }
    return ok;
}

static inline int test_int(int64_t got, int64_t want, const char *file, int line, const char *what)
{
    test_check(got == want, file, line, what);
    if (got != want) {
        fprintf(stderr, "    got %" PRId64 ", expected %" PRId64 "\n", got, want);
    }
    return got == want;
}

static inline int test_text(const char *got, const char *want, const char *file, int line)
{
    int ok = got != NULL && strcmp(got, want) == 0;
    test_check(ok, file, line, "texts are equal");
    if (!ok) {
        fprintf(stderr, "    got \"%s\"\n    expected \"%s\"\n", got != NULL ? got : "(null)",
                want);
    }
    return ok;
}

/* Each is an expression with the value 1 (held) or 0, so that a loop can stop at the first failure. */
#define CHECK(COND)           test_check((COND) ? 1 : 0, __FILE__, __LINE__, #COND)
#define CHECK_MSG(COND, WHAT) test_check((COND) ? 1 : 0, __FILE__, __LINE__, (WHAT))
#define CHECK_CLOSE(GOT, WANT, TOLERANCE)                                                          \
    test_close((double)(GOT), (double)(WANT), (double)(TOLERANCE), __FILE__, __LINE__,             \
               #GOT " is close to " #WANT)
#define CHECK_INT(GOT, WANT)                                                                       \
    test_int((int64_t)(GOT), (int64_t)(WANT), __FILE__, __LINE__, #GOT " equals " #WANT)
#define CHECK_TEXT(GOT, WANT) test_text((GOT), (WANT), __FILE__, __LINE__)
#define CHECK_BITS(A, B, BYTES)                                                                    \
    test_check(memcmp((A), (B), (BYTES)) == 0, __FILE__, __LINE__, #A " has the bits of " #B)

/* Leaves the test, saying why; it counts as skipped, not as passed. */
#define SKIP(REASON)                                                                               \
    do {                                                                                           \
        test_now.skipped = (REASON);                                                               \
        return;                                                                                    \
    } while (0)

static inline uint64_t test_random(void)
{
    uint64_t z = (test_now.random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in [low, high). */
static inline double test_uniform(double low, double high)
{
    return low + (high - low) * ((double)(test_random() >> 11) * 0x1p-53);
}

/* Uniform integer in [low, high]. */
static inline int64_t test_integer(int64_t low, int64_t high)
{
    return low + (int64_t)(test_random() % (uint64_t)(high - low + 1));
}

static inline void test_fill_f32(float *x /* (n) */, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)test_uniform(low, high);
    }
}

static inline void test_fill_f64(double *x /* (n) */, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = test_uniform(low, high);
    }
}

#ifdef MTF_REAL_DOUBLE
#define test_fill test_fill_f64
#else
#define test_fill test_fill_f32
#endif

int main(int argc, char **argv)
{
    const char *given = getenv("MTF_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    const char *filter = argc > 1 ? argv[1] : "";
    int64_t run = 0;
    int64_t failed = 0;
    printf("seed %" PRIu64 " (set MTF_TEST_SEED to repeat)\n", seed);
    for (test_case *one = test_now.first; one != NULL; one = one->next) {
        if (strstr(one->name, filter) == NULL) {
            continue;
        }
        int64_t before = test_now.failures;
        test_now.random = seed; /* each test has the same stream whether run alone or with others */
        test_now.skipped = NULL;
        one->run();
        int bad = test_now.failures != before;
        run++;
        failed += bad;
        printf("%-7s %s%s%s\n", bad ? "FAILED" : (test_now.skipped ? "skipped" : "ok"), one->name,
               test_now.skipped ? ": " : "", test_now.skipped ? test_now.skipped : "");
        fflush(stdout);
    }
    printf("%" PRId64 " tests, %" PRId64 " checks, %" PRId64 " tests failed\n", run,
           test_now.checks, failed);
    return failed != 0 || run == 0;
}

#endif
