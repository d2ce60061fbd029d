/* Memory, errors, random numbers, and the choice of kernels.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/random.h"
#include "base/status.h"
#include "kernels/kernels.h"

MTF_TEST(blocks_are_aligned_and_counted)
{
    mtf_memory_info before;
    mtf_memory_info now;
    mtf_memory_get(&before);
    mtf_memory_reset_peak();
    void *blocks[20];
    size_t total = 0;
    for (size_t i = 0; i < 20; i++) {
        blocks[i] = mtf_alloc(i * 7);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 64 == 0);
        memset(blocks[i], 1, i * 7);
        total += i * 7;
    }
    mtf_memory_get(&now);
    CHECK_INT(now.n_allocations, before.n_allocations + 20);
    CHECK_INT(now.bytes_now, before.bytes_now + total);
    for (size_t i = 0; i < 20; i++) {
        mtf_free(blocks[i]);
    }
    mtf_free(NULL);
    mtf_memory_get(&now);
    CHECK_INT(now.bytes_now, before.bytes_now);
    CHECK_INT(now.bytes_peak, before.bytes_now + total);
    mtf_memory_reset_peak();
    mtf_memory_get(&now);
    CHECK_INT(now.bytes_peak, now.bytes_now);
}

MTF_TEST(zeroed_grown_and_copied_blocks)
{
    unsigned char *zero = mtf_alloc_zero(1000);
    for (int i = 0; i < 1000; i++) {
        CHECK(zero[i] == 0);
        zero[i] = (unsigned char)i;
    }
    zero = mtf_realloc(zero, 3000);
    for (int i = 0; i < 1000; i++) {
        CHECK(zero[i] == (unsigned char)i);
    }
    zero = mtf_realloc(zero, 10);
    CHECK(zero[9] == 9);
    mtf_free(zero);
    char *text = mtf_alloc_text("copied");
    CHECK_TEXT(text, "copied");
    mtf_free(text);
    void *block = mtf_realloc(NULL, 8);
    CHECK(block != NULL);
    mtf_free(block);
}

MTF_TEST(an_account_holds_the_blocks_of_its_owner_alone)
{
    mtf_account *one = NULL;
    mtf_account *other = NULL;
    mtf_memory_info start;
    mtf_memory_info found;
    mtf_memory_get(&start);
    CHECK_INT(mtf_account_new(&one, NULL), MTF_OK);
    CHECK_INT(mtf_account_new(&other, NULL), MTF_OK);
    CHECK(mtf_account_enter(one) == NULL);
    void *first = mtf_alloc(100);
    void *grown = mtf_realloc(mtf_alloc(10), 40);
    CHECK(mtf_account_enter(other) == one);
    void *second = mtf_alloc(1000);
    mtf_free(first); /* it stays on its own account */
    mtf_account_get(one, &found);
    CHECK_INT(found.n_allocations, 3);
    CHECK_INT(found.bytes_now, 40);
    CHECK_INT(found.bytes_peak, 150);
    mtf_account_reset_peak(one);
    mtf_account_get(one, &found);
    CHECK_INT(found.bytes_peak, 40);
    CHECK(mtf_account_enter(NULL) == other);
    mtf_account_free(other); /* before its last block */
    mtf_account_get(one, &found);
    CHECK_INT(found.bytes_now, 40);
    mtf_free(second);
    mtf_free(grown);
    mtf_account_free(one);
    mtf_account_free(NULL);
    mtf_memory_get(&found);
    CHECK_INT(found.bytes_now, start.bytes_now);
    mtf_memory_fail_after(1);
    CHECK_INT(mtf_account_new(&one, NULL), MTF_ERR_MEMORY);
    CHECK(one == NULL);
}

MTF_TEST(sizes_that_overflow_are_refused)
{
    CHECK(mtf_alloc(SIZE_MAX) == NULL);
    CHECK(mtf_alloc(SIZE_MAX - 100) == NULL);
    CHECK(mtf_alloc_array(SIZE_MAX / 2, 3) == NULL);
    void *none = mtf_alloc_array(SIZE_MAX, 0);
    CHECK(none != NULL);
    mtf_free(none);
}

MTF_TEST(the_chosen_allocation_fails_once)
{
    mtf_memory_fail_after(3);
    void *a = mtf_alloc(1);
    void *b = mtf_alloc(1);
    void *c = mtf_alloc(1);
    void *d = mtf_alloc(1);
    CHECK(a != NULL && b != NULL && c == NULL && d != NULL);
    mtf_memory_fail_after(1);
    void *grown = mtf_realloc(a, 100);
    CHECK(grown == NULL); /* the old block stays */
    mtf_memory_fail_after(1);
    mtf_memory_fail_after(0);
    void *e = mtf_alloc(1);
    CHECK(e != NULL);
    mtf_free(a), mtf_free(b), mtf_free(d), mtf_free(e);
}

MTF_TEST(errors_carry_code_and_text)
{
    mtf_error err = {MTF_OK, ""};
    CHECK(mtf_fail(&err, MTF_ERR_SHAPE, "expected %d, found %s", 3, "four") == MTF_ERR_SHAPE);
    CHECK_TEXT(err.text, "expected 3, found four");
    CHECK(err.code == MTF_ERR_SHAPE);
    CHECK(mtf_fail(NULL, MTF_ERR_NAME, "nobody listens") == MTF_ERR_NAME);
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    CHECK(mtf_fail(&err, MTF_ERR_VALUE, "%s", long_text) == MTF_ERR_VALUE);
    CHECK(strlen(err.text) == sizeof err.text - 1);
    CHECK(mtf_fail_memory(&err, 3u << 20) == MTF_ERR_MEMORY);
    CHECK(strstr(err.text, "3.0 MiB") != NULL);
}

/* These bits are part of checkpoints and of the meaning of a seed: they may never change. */
MTF_TEST(random_numbers_are_what_they_were)
{
    CHECK(mtf_random_mix(0, 0) == UINT64_C(16294208416658607535));
    CHECK(mtf_random_text_key("") == UINT64_C(0xCBF29CE484222325));
    CHECK(mtf_random_text_key("a") == UINT64_C(0xAF63DC4C8601EC8C)); /* published FNV-1a values */
    CHECK(mtf_random_mix(1, 2) != mtf_random_mix(2, 1));
    mtf_real a[100];
    mtf_real b[50];
    mtf_random_uniform(a, 100, 5, 0.25);
    mtf_random_uniform(b, 50, 5, 0.25);
    CHECK_BITS(a, b, sizeof b); /* a value depends on key and place only */
    double sum = 0;
    for (int i = 0; i < 100; i++) {
        CHECK(a[i] >= (mtf_real)-0.25 && a[i] < (mtf_real)0.25);
        sum += (double)a[i];
    }
    /* mean of 100 uniform values: five deviations */
    CHECK_CLOSE(sum / 100, 0, 5 * 0.25 / sqrt(3.0 * 100));
}

MTF_TEST(a_level_is_chosen_by_name)
{
    mtf_error err = {MTF_OK, ""};
    mtf_runtime_info info;
    mtf_runtime_get_info(&info);
    CHECK_TEXT(info.isa, "ref"); /* before it is asked for */
    CHECK(mtf_runtime_init("avx3", &err) == MTF_ERR_VALUE);
    CHECK(strstr(err.text, "avx3") != NULL && strstr(err.text, "ref") != NULL);
    CHECK_TEXT(mtf_kernel->isa, "ref");
    CHECK(mtf_runtime_init("ref", &err) == MTF_OK);
    CHECK_TEXT(mtf_kernel->isa, "ref");
    const char *wanted = mtf_cpu_isa_wanted();
    CHECK(mtf_runtime_init(NULL, &err) == MTF_OK);
    mtf_runtime_get_info(&info);
    const char *best = strrchr(info.isa_available, ' ');
    CHECK_TEXT(info.isa, wanted != NULL ? wanted : best != NULL ? best + 1 : info.isa_available);
    CHECK(strncmp(info.isa_compiled, info.isa_available, strlen(info.isa_available)) == 0);
}
