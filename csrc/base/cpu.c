/* cpu.c: feature detection by CPUID and XGETBV (Intel SDM vol. 1, 14.3: a register set may be used
 * only when the operating system saves it). AMX tiles must be asked for, too (Linux,
 * Documentation/arch/x86/xstate.rst). Compiled with baseline flags.
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__linux__)
#define _GNU_SOURCE /* syscall */
#endif
#include "cpu.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
#define BIT(n)    (UINT32_C(1) << (n))
#define FMA       BIT(12)                                 /* leaf 1, ecx */
#define OSXSAVE   BIT(27)                                 /* leaf 1, ecx */
#define AVX       BIT(28)                                 /* leaf 1, ecx */
#define AVX2      BIT(5)                                  /* leaf 7, ebx */
#define AVX512    (BIT(16) | BIT(17) | BIT(30) | BIT(31)) /* leaf 7, ebx: F, DQ, BW, VL */
#define VNNI      BIT(11)                                 /* leaf 7, ecx */
#define AMX       (BIT(22) | BIT(24) | BIT(25))           /* leaf 7, edx: bf16, tile, int8 */
#define BF16      BIT(5)                                  /* leaf 7.1, eax */
#define XCR0_YMM  UINT64_C(0x6)                           /* SSE and AVX state */
#define XCR0_ZMM  UINT64_C(0xE6)                          /* and masks, upper halves, upper 16 */
#define XCR0_TILE UINT64_C(0x60000)                       /* tile configuration and data */

enum { EAX, EBX, ECX, EDX };

/* 1: the operating system saves these register sets. */
static int saves(uint64_t state)
{
    uint32_t one[4];
    return read_cpuid(1, 0, one) && (one[ECX] & OSXSAVE) != 0 && (read_xcr0() & state) == state;
}

/* 1: leaf 7 has all these bits in that register. */
static int has_extended(int reg, uint32_t bits)
{
    uint32_t seven[4];
    return read_cpuid(7, 0, seven) && (seven[reg] & bits) == bits;
}
#endif

int mtf_cpu_has_avx2(void)
{
#ifdef HAVE_CPUID
    uint32_t one[4];
    return read_cpuid(1, 0, one) && (one[ECX] & (FMA | AVX)) == (FMA | AVX) && saves(XCR0_YMM) &&
           has_extended(EBX, AVX2);
#else
    return 0;
#endif
}

int mtf_cpu_has_avx512(void)
{
#ifdef HAVE_CPUID
    return saves(XCR0_ZMM) && has_extended(EBX, AVX512);
#else
    return 0;
#endif
}

int mtf_cpu_has_avx512vnni(void)
{
#ifdef HAVE_CPUID
    return saves(XCR0_ZMM) && has_extended(ECX, VNNI);
#else
    return 0;
#endif
}

int mtf_cpu_has_avx512bf16(void)
{
#ifdef HAVE_CPUID
    uint32_t seven[4];
    const int has_subleaf = read_cpuid(7, 0, seven) && seven[EAX] >= 1;
    return saves(XCR0_ZMM) && has_subleaf && read_cpuid(7, 1, seven) && (seven[EAX] & BF16) != 0;
#else
    return 0;
#endif
}

int mtf_cpu_has_amx(void)
{
#if defined(HAVE_CPUID) && defined(__linux__) && defined(SYS_arch_prctl)
    static int answer = -1;
    if (answer < 0) {
        enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
        answer = saves(XCR0_TILE) && has_extended(EDX, AMX) &&
                 syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
    }
    return answer;
#else
    return 0; /* no other system that we know how to ask */
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
