/* compiler.h: every compiler extension the core uses, wrapped once.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_COMPILER_H
#define MTF_BASE_COMPILER_H

#if defined(__GNUC__) || defined(__clang__)
#define MTF_RESTRICT          __restrict__
#define MTF_ALIGNED(n)        __attribute__((aligned(n)))
#define MTF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MTF_LIKELY(x)         __builtin_expect(!!(x), 1)
#define MTF_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#elif defined(_MSC_VER)
#define MTF_RESTRICT   __restrict
#define MTF_ALIGNED(n) __declspec(align(n))
#define MTF_PRINTF(fmt, args)
#define MTF_LIKELY(x)   (x)
#define MTF_UNLIKELY(x) (x)
#else
#define MTF_RESTRICT
#define MTF_ALIGNED(n)
#define MTF_PRINTF(fmt, args)
#define MTF_LIKELY(x)   (x)
#define MTF_UNLIKELY(x) (x)
#endif

/* Tells the processor that this thread spins. */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define MTF_CPU_PAUSE() __asm__ volatile("pause")
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define MTF_CPU_PAUSE() __asm__ volatile("yield")
#else
#define MTF_CPU_PAUSE() ((void)0)
#endif

/* The vector (AVX-512) is in a register here. gcc 12 keeps sums in memory through a whole loop where
 * it sees that the operation behind the loop could read them there. */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define MTF_IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define MTF_IN_REGISTER(vector) ((void)0)
#endif

#endif
