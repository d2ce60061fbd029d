/* cpu.c: feature detection by CPUID and XGETBV (Intel SDM vol. 1, 14.3: a register set may be used
 * only when the operating system saves it). Compiled with baseline flags.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#define HAVE_CPUID 1

static int read_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4])
{
    return __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2],
                             &registers[3]);
}

static uint64_t read_xcr0(void)
{
    uint32_t low;
    uint32_t high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}
#elif defined(_M_X64)
#include <intrin.h>
#define HAVE_CPUID 1

static int read_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4])
{
    int top[4];
    __cpuid(top, 0);
    if ((uint32_t)top[0] < leaf) {
        return 0;
    }
    __cpuidex((int *)registers, (int)leaf, (int)subleaf);
    return 1;
}

static uint64_t read_xcr0(void)
{
    return _xgetbv(0);
}
#endif

#ifdef HAVE_CPUID
#define BIT_FMA     (UINT32_C(1) << 12) /* leaf 1, ecx */
#define BIT_OSXSAVE (UINT32_C(1) << 27) /* leaf 1, ecx */
#define BIT_AVX     (UINT32_C(1) << 28) /* leaf 1, ecx */
#define BIT_AVX2    (UINT32_C(1) << 5)  /* leaf 7, ebx */
#define XCR0_YMM    UINT64_C(0x6)       /* SSE and AVX state */
#endif

int mtf_cpu_has_avx2(void)
{
#ifdef HAVE_CPUID
    uint32_t one[4];
    uint32_t seven[4];
    const uint32_t needed = BIT_FMA | BIT_OSXSAVE | BIT_AVX;
    if (!read_cpuid(1, 0, one) || (one[2] & needed) != needed) {
        return 0;
    }
    if ((read_xcr0() & XCR0_YMM) != XCR0_YMM) {
        return 0;
    }
    return read_cpuid(7, 0, seven) && (seven[1] & BIT_AVX2) != 0;
#else
    return 0;
#endif
}

const char *mtf_cpu_isa_wanted(void)
{
    static char wanted[32];
    static int known;
    if (!known) {
        const char *value = getenv("MTFREEZE_ISA");
        if (value != NULL) {
            strncpy(wanted, value, sizeof wanted - 1);
        }
        known = 1;
    }
    return wanted[0] != 0 ? wanted : NULL;
}
