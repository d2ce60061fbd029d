/* cpu.h: what this processor and its operating system can do, and the level that the user forces.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_CPU_H
#define MTF_BASE_CPU_H

/* 1: AVX2 and FMA, with the operating system saving the 256-bit registers. */
int mtf_cpu_has_avx2(void);
/* 1: AVX-512 F, BW, DQ and VL, with the operating system saving the 512-bit registers. */
int mtf_cpu_has_avx512(void);
/* 1: the dot products of bytes (VNNI) and of bf16 in 512-bit registers; each without asking for
 * what stands below it. */
int mtf_cpu_has_avx512vnni(void);
int mtf_cpu_has_avx512bf16(void);
/* 1: AMX tiles with bf16 and int8 products, and the operating system lets this process use them: the
 * first call asks Linux for it. Not thread-safe at that call, as below. */
int mtf_cpu_has_amx(void);
/* Value of MTFREEZE_ISA when the process first asked, or NULL: not set or empty. Not thread-safe
 * at the first call (mtf_runtime_init makes it). */
const char *mtf_cpu_isa_wanted(void);

#endif
