/* alloc.c: the heap of the core: aligned blocks with a 64-byte header that holds their size.
 *
 * Counters are atomic, so that blocks may be taken and freed on any thread. A block knows its account,
 * which may outlive its owner until its last block is freed. mtf_memory_fail_after(n) makes the n-th
 * allocation from then on fail once, by which tests walk through every error path.
 *
 * Large blocks ask Linux for huge pages, as far as they fill them: kernels stream weights from memory,
 * and with pages of 4 KB prefetching ends at each of them (22 GB/s a core where 38 are to be had).
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "alloc.h"
#include "status.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef _MSC_VER
#include <malloc.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ALIGNMENT  ((size_t)64)
#define HUGE_PAGE  ((size_t)2 << 20)
#define HUGE_LEAST (2 * HUGE_PAGE) /* smaller blocks would fill too little of theirs */

typedef struct counters {
    atomic_uint_fast64_t n_allocations, bytes_now, bytes_peak;
} counters;

struct mtf_account {
    counters counters;
    atomic_uint_fast64_t n_holders; /* blocks, and the owner */
};

typedef struct block_header {
    size_t size;
    mtf_account *account; /* NULL: none */
} block_header;

static counters process;
static _Thread_local mtf_account *current;
static atomic_uint_fast64_t fail_after;

/* 1 when this allocation is the one that must fail. */
static int failure_is_due(void)
{
    uint_fast64_t left = atomic_load_explicit(&fail_after, memory_order_relaxed);
    while (left != 0) {
        if (atomic_compare_exchange_weak(&fail_after, &left, left - 1)) {
            return left == 1;
        }
    }
    return 0;
}

static void count(counters *where, size_t size)
{
    atomic_fetch_add_explicit(&where->n_allocations, 1, memory_order_relaxed);
    uint_fast64_t now = atomic_fetch_add(&where->bytes_now, size) + size;
    uint_fast64_t peak = atomic_load(&where->bytes_peak);
    while (now > peak && !atomic_compare_exchange_weak(&where->bytes_peak, &peak, now)) {
    }
}

static void show(const counters *where, mtf_memory_info *info)
{
    info->n_allocations = atomic_load(&where->n_allocations);
    info->bytes_now = atomic_load(&where->bytes_now);
    info->bytes_peak = atomic_load(&where->bytes_peak);
}

static void reset_peak(counters *where)
{
    atomic_store(&where->bytes_peak, atomic_load(&where->bytes_now));
}

static void let_go(mtf_account *account)
{
    if (atomic_fetch_sub(&account->n_holders, 1) == 1) {
        mtf_free(account);
    }
}

static void *take_aligned(size_t size)
{
#ifdef _MSC_VER
    return _aligned_malloc(size, ALIGNMENT);
#elif defined(__linux__) && defined(MADV_HUGEPAGE)
    const size_t alignment = size >= HUGE_LEAST ? HUGE_PAGE : ALIGNMENT;
    /* aligned_alloc wants a multiple of the alignment; what is not touched takes no memory */
    void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory != NULL && size >= HUGE_LEAST) {
        (void)madvise(memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a wish */
    }
    return memory;
#else
    return aligned_alloc(ALIGNMENT, size);
#endif
}

static void give_aligned(void *memory)
{
#ifdef _MSC_VER
    _aligned_free(memory);
#else
    free(memory);
#endif
}

static void *allocate(size_t size, mtf_account *account)
{
    if (size > SIZE_MAX - 2 * ALIGNMENT || failure_is_due()) {
        return NULL;
    }
    /* aligned_alloc wants a multiple of the alignment */
    size_t whole = ALIGNMENT + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *memory = take_aligned(whole);
    if (memory == NULL) {
        return NULL;
    }
    const block_header header = {size, account};
    memcpy(memory, &header, sizeof header);
    count(&process, size);
    if (account != NULL) {
        count(&account->counters, size);
        atomic_fetch_add(&account->n_holders, 1);
    }
    return memory + ALIGNMENT;
}

void *mtf_alloc(size_t size)
{
    return allocate(size, current);
}

void *mtf_alloc_zero(size_t size)
{
    void *block = mtf_alloc(size);
    if (block != NULL) {
        memset(block, 0, size);
    }
    return block;
}

void *mtf_alloc_array(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    return mtf_alloc(n * size);
}

static block_header header_of(const void *block)
{
    block_header header;
    memcpy(&header, (const unsigned char *)block - ALIGNMENT, sizeof header);
    return header;
}

void *mtf_realloc(void *block, size_t size)
{
    void *moved = mtf_alloc(size);
    if (moved != NULL && block != NULL) {
        size_t kept = header_of(block).size;
        memcpy(moved, block, kept < size ? kept : size);
        mtf_free(block);
    }
    return moved;
}

char *mtf_alloc_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mtf_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void mtf_free(void *block)
{
    if (block != NULL) {
        const block_header header = header_of(block);
        atomic_fetch_sub(&process.bytes_now, header.size);
        give_aligned((unsigned char *)block - ALIGNMENT);
        if (header.account != NULL) {
            atomic_fetch_sub(&header.account->counters.bytes_now, header.size);
            let_go(header.account);
        }
    }
}

void mtf_memory_get(mtf_memory_info *info)
{
    show(&process, info);
}

void mtf_memory_reset_peak(void)
{
    reset_peak(&process);
}

mtf_status mtf_account_new(mtf_account **account, mtf_error *err)
{
    *account = allocate(sizeof **account, NULL);
    if (*account == NULL) {
        return mtf_fail_memory(err, sizeof **account);
    }
    memset(*account, 0, sizeof **account);
    atomic_init(&(*account)->n_holders, 1);
    return MTF_OK;
}

void mtf_account_free(mtf_account *account)
{
    if (account != NULL) {
        let_go(account);
    }
}

mtf_account *mtf_account_enter(mtf_account *account)
{
    mtf_account *earlier = current;
    current = account;
    return earlier;
}

void mtf_account_get(const mtf_account *account, mtf_memory_info *info)
{
    show(&account->counters, info);
}

void mtf_account_reset_peak(mtf_account *account)
{
    reset_peak(&account->counters);
}

void mtf_memory_fail_after(uint64_t n)
{
    atomic_store(&fail_after, n);
}
