/* table.c: the table of kernels: reference first, then each level over it that this build and this
 * CPU have. A new level is one line in `levels` and a file fill.c in its folder.
 *
 * Compiled with baseline flags. mtf_kernel is set by mtf_kernels_choose() before any thread of ours
 * exists; afterwards only count.c changes it. SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

#include "../base/cpu.h"
#include "../base/status.h"
#include "ref/ref.h"

#include <string.h>

static const mtf_kernels reference = {
    .isa = "ref",
    .product_isa = {"ref", "ref", "ref"},
#define MTF_KERNEL(result, name, args) .name = mtf_##name##_ref,
#include "kernels.def"
#undef MTF_KERNEL
};

const mtf_kernels *mtf_kernel = &reference;

static mtf_kernels chosen;

typedef struct level {
    const char *name;
    int (*cpu_has)(void);
    void (*fill)(mtf_kernels *table); /* overwrites the slots that the level implements */
} level;

#if MTF_WITH_AVX2
void mtf_kernels_fill_avx2(mtf_kernels *table);
#endif
#if MTF_WITH_AVX512
void mtf_kernels_fill_avx512(mtf_kernels *table);
#endif
#if MTF_WITH_AVX512VNNI
void mtf_kernels_fill_avx512vnni(mtf_kernels *table);
#endif
#if MTF_WITH_AVX512BF16
void mtf_kernels_fill_avx512bf16(mtf_kernels *table);
#endif
#if MTF_WITH_AMX
void mtf_kernels_fill_amx(mtf_kernels *table);
#endif

/* A chain: a CPU that lacks one level stops below it. cmake/isa.cmake builds it without gaps. */
static const level levels[] = {
#if MTF_WITH_AVX2
    {"avx2", mtf_cpu_has_avx2, mtf_kernels_fill_avx2},
#endif
#if MTF_WITH_AVX512
    {"avx512", mtf_cpu_has_avx512, mtf_kernels_fill_avx512},
#endif
#if MTF_WITH_AVX512VNNI
    {"avx512vnni", mtf_cpu_has_avx512vnni, mtf_kernels_fill_avx512vnni},
#endif
#if MTF_WITH_AVX512BF16
    {"avx512bf16", mtf_cpu_has_avx512bf16, mtf_kernels_fill_avx512bf16},
#endif
#if MTF_WITH_AMX
    {"amx", mtf_cpu_has_amx, mtf_kernels_fill_amx},
#endif
    {NULL, NULL, NULL},
};

/* Lets a level fill the table, and notes which products it brought. */
static void add_level(mtf_kernels *table, const level *one)
{
    const mtf_kernels below = *table;
    one->fill(table);
    table->isa = one->name;
    if (table->packed_f32 != below.packed_f32) {
        table->product_isa[MTF_PRECISION_F32] = one->name;
    }
    if (table->packed_bf16 != below.packed_bf16) {
        table->product_isa[MTF_PRECISION_BF16] = one->name;
    }
    if (table->packed_int8 != below.packed_int8) {
        table->product_isa[MTF_PRECISION_INT8] = one->name;
    }
}

int mtf_kernels_fill(mtf_kernels *table, const char *isa)
{
    *table = reference;
    for (const level *one = levels; strcmp(table->isa, isa) != 0; one++) {
        if (one->name == NULL || !one->cpu_has()) {
            return 0;
        }
        add_level(table, one);
    }
    return 1;
}

/* Appends a name and a space before it; the lists are short and fixed by `levels`. */
static void append(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);
    if (used + strlen(name) + 2 <= size) {
        list[used] = ' ';
        strcpy(list + used + 1, name);
    }
}

void mtf_kernels_list(char *list, size_t size, int available_only)
{
    strcpy(list, reference.isa);
    for (const level *one = levels; one->name != NULL; one++) {
        if (available_only && !one->cpu_has()) {
            break;
        }
        append(list, size, one->name);
    }
}

mtf_status mtf_kernels_choose(const char *isa, mtf_error *err)
{
    char available[MTF_KERNELS_LIST];
    mtf_kernels_list(available, sizeof available, 1);
    if (isa == NULL) {
        const char *last = strrchr(available, ' ');
        isa = last != NULL ? last + 1 : available;
    }
    mtf_kernels table;
    if (!mtf_kernels_fill(&table, isa)) {
        char compiled[MTF_KERNELS_LIST];
        mtf_kernels_list(compiled, sizeof compiled, 0);
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the ISA level must be one of: %s (what this build and this CPU have; the "
                        "build has: %s); found '%s'; change MTFREEZE_ISA or unset it",
                        available, compiled, isa);
    }
    chosen = table;
    mtf_kernel = &chosen;
    return MTF_OK;
}

/* Room for the largest user, backward at AVX-512: 16 queries and their gradients, transposed, two
 * tiles of scores, and a cache line to align them. */
size_t mtf_attention_work(int64_t d)
{
    return 2 * 16 * ((size_t)d + MTF_ATTENTION_KEYS) + 16;
}

/* Room for a block of rows of x: float kernels cut k into blocks, so that theirs has a bound; int8
 * kernels quantise whole rows. Whole cache lines, and one to align them. */
size_t mtf_packed_work(int64_t k)
{
    const size_t terms = ((size_t)k + 63) / 64 * 64;
    return 32 * terms + 65536;
}
