/* cpu.h: what this processor and its operating system can do, and the level that the user forces.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_CPU_H
#define MTF_BASE_CPU_H

/* 1: AVX2 and FMA, with the operating system saving the 256-bit registers. */
int mtf_cpu_has_avx2(void);
/* Value of MTFREEZE_ISA when the process first asked, or NULL: not set or empty. Not thread-safe
 * at the first call (mtf_runtime_init makes it). */
const char *mtf_cpu_isa_wanted(void);

#endif
