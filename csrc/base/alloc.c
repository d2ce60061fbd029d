/* alloc.c: the heap of the core: aligned blocks with a 64-byte header that holds their size.
 *
 * Counters are atomic, so that blocks may be taken and freed on any thread. mtf_memory_fail_after(n)
 * makes the n-th allocation from then on fail once, by which tests walk through every error path.
 *
 * Large blocks ask Linux for huge pages, as far as they fill them: kernels stream weights from memory,
 * and with pages of 4 KB prefetching ends at each of them (22 GB/s a core where 38 are to be had).
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "alloc.h"

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

typedef struct block_header {
    size_t size;
} block_header;

static atomic_uint_fast64_t n_allocations;
static atomic_uint_fast64_t bytes_now;
static atomic_uint_fast64_t bytes_peak;
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

static void count_allocation(size_t size)
{
    atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
    uint_fast64_t now = atomic_fetch_add(&bytes_now, size) + size;
    uint_fast64_t peak = atomic_load(&bytes_peak);
    while (now > peak && !atomic_compare_exchange_weak(&bytes_peak, &peak, now)) {
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

void *mtf_alloc(size_t size)
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
    block_header header = {size};
    memcpy(memory, &header, sizeof header);
    count_allocation(size);
    return memory + ALIGNMENT;
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

static size_t block_size(const void *block)
{
    block_header header;
    memcpy(&header, (const unsigned char *)block - ALIGNMENT, sizeof header);
    return header.size;
}

void *mtf_realloc(void *block, size_t size)
{
    void *moved = mtf_alloc(size);
    if (moved != NULL && block != NULL) {
        size_t kept = block_size(block);
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
        atomic_fetch_sub(&bytes_now, block_size(block));
        give_aligned((unsigned char *)block - ALIGNMENT);
    }
}

void mtf_memory_get(mtf_memory_info *info)
{
    info->n_allocations = atomic_load(&n_allocations);
    info->bytes_now = atomic_load(&bytes_now);
    info->bytes_peak = atomic_load(&bytes_peak);
}

void mtf_memory_reset_peak(void)
{
    atomic_store(&bytes_peak, atomic_load(&bytes_now));
}

void mtf_memory_fail_after(uint64_t n)
{
    atomic_store(&fail_after, n);
}
