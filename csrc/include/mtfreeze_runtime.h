/* mtfreeze_runtime.h: what every part of the public header rests on, see mtfreeze.h: real type, limits,
 * status, precisions, and the runtime that all models share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTFREEZE_RUNTIME_H
#define MTFREEZE_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define MTF_NODISCARD __attribute__((warn_unused_result))
#else
#define MTF_NODISCARD
#endif

/* float, or double in the gradient-check build. */
#ifdef MTF_REAL_DOUBLE
typedef double mtf_real;
#else
typedef float mtf_real;
#endif

#define MTF_MAX_DIMS     4
#define MTF_MAX_SPACES   12 /* row spaces of a family and its heads, "sequences" among them */
#define MTF_MAX_INPUTS   8  /* inputs of a family and its heads */
#define MTF_MAX_FEATURES 64 /* outputs whose values a batch may carry */
#define MTF_IGNORE_LABEL (-100)
/* Most sequences of a batch, and the largest sequence number and step count that may be given. */
#define MTF_MAX_COUNT (INT64_C(1) << 53)

/* ---- status ---------------------------------------------------------------------------------- */

typedef enum mtf_status {
    MTF_OK = 0,
    MTF_ERR_VALUE = -1,     /* an argument is outside what is allowed */
    MTF_ERR_SHAPE = -2,     /* sizes disagree */
    MTF_ERR_CONFIG = -3,    /* a model or head configuration cannot be built */
    MTF_ERR_NAME = -4,      /* no such output, head or parameter */
    MTF_ERR_MEMORY = -5,    /* an allocation failed; nothing changed */
    MTF_ERR_IO = -6,        /* a file could not be used */
    MTF_ERR_NONFINITE = -7, /* a loss, a gradient norm or an update is not; no weight changed */
    MTF_ERR_STATE = -8,     /* calls in the wrong order, e.g. backward without forward */
    MTF_INTERRUPTED = -9    /* whoever watches the calls wants no more; see mtf_stop_watch() */
} mtf_status;

typedef struct mtf_error {
    mtf_status code;
    char text[512]; /* what was expected, what was found, what to do; empty when code is MTF_OK */
} mtf_error;

/* ---- precision ------------------------------------------------------------------------------- */

/* What linear products are made in. bf16: both factors rounded to bfloat16, sums in fp32. int8:
 * weights by output channel, symmetric, inputs by row from its least to its largest value, sums in
 * int32. Masters are fp32 always; weights of fewer than 65,536 values (those of convolutions in int8
 * alone), or with a side below 32, are multiplied in fp32. */
typedef enum mtf_precision {
    MTF_PRECISION_F32 = 0,
    MTF_PRECISION_BF16 = 1,
    MTF_PRECISION_INT8 = 2
} mtf_precision;
#define MTF_N_PRECISIONS 3

/* Where a run is asked for a precision: what freezing says (fp32 where it says nothing); or a
 * mtf_precision for every product; or, with MTF_UNLESS_FROZEN added, for those of which freezing
 * says nothing. */
#define MTF_AS_FROZEN     (-1)
#define MTF_UNLESS_FROZEN 16

/* ---- runtime --------------------------------------------------------------------------------- */

typedef struct mtf_runtime_info {
    const char *isa;           /* level in use: "ref", "avx2", ... */
    const char *isa_compiled;  /* levels in this build, separated by spaces */
    const char *isa_available; /* those of them that this CPU has */
    const char *blas;          /* "openblas ..." with its own version text, or "reference" */
    const char *product_isa[MTF_N_PRECISIONS]; /* level whose kernel makes large products in each
                                                  mtf_precision; "blas": that one */
    int n_threads;
    int blas_rows_checked; /* 1: BLAS rows were found independent of the rows around them; 0: they
                              are not, so only weight gradients use BLAS */
} mtf_runtime_info;

typedef struct mtf_memory_info {
    uint64_t n_allocations; /* since the process began */
    uint64_t bytes_now;
    uint64_t bytes_peak;
} mtf_memory_info;

/* Chooses the kernel table. `isa` NULL: MTFREEZE_ISA if set, else the best level of this CPU.
 * MTF_ERR_VALUE names the levels that can be had. Not thread-safe; call before any model exists. */
MTF_NODISCARD mtf_status mtf_runtime_init(const char *isa, mtf_error *err);
/* Loads the OpenBLAS at `path` (absolute) with local symbols and one thread. MTF_ERR_IO: not usable;
 * the reference product stays in place. A second call with the same path does nothing. */
MTF_NODISCARD mtf_status mtf_runtime_load_blas(const char *path, mtf_error *err);
void mtf_runtime_get_info(mtf_runtime_info *info);
/* Worker threads of every model, 1..256; they start at the first use. At any time, on any thread: a call
 * that is under way goes on with the number that it began with. */
MTF_NODISCARD mtf_status mtf_threads_set(int n_threads, mtf_error *err);
int mtf_threads_get(void);
/* Whether the calls of this thread are to end early: nonzero to stop. */
typedef int (*mtf_stop_fn)(void *context);
/* From now on `stop` is called on this thread about every `interval_ms` while one of its calls works on
 * a model, 0: at every place where the call could end; NULL: no more. Once it gives nonzero, the
 * call under way returns MTF_INTERRUPTED within some 10 ms. What its outputs hold is then undefined;
 * weights, moments, step counts and the freeze state are as before the call, and later calls give the same
 * bits as if it had not been made. An update of weights that has begun is finished. `stop` may call
 * the core, but not on the model that is at work. */
void mtf_stop_watch(mtf_stop_fn stop, void *context, int interval_ms);
void mtf_memory_get(mtf_memory_info *info);
void mtf_memory_reset_peak(void);

/* What some blocks of the heap take, of one model for instance, whatever else the process holds: those
 * that a thread allocates between mtf_account_enter() with the account and with another one. They stay on
 * it until they are freed, on any thread. */
typedef struct mtf_account mtf_account;
/* MTF_ERR_MEMORY: none was made. */
MTF_NODISCARD mtf_status mtf_account_new(mtf_account **account, mtf_error *err);
/* The owner lets go of it; it goes with its last block. NULL is fine. */
void mtf_account_free(mtf_account *account);
/* From now on blocks of this thread are on `account`, NULL: on none. Returns the one before. */
mtf_account *mtf_account_enter(mtf_account *account);
void mtf_account_get(const mtf_account *account, mtf_memory_info *info);
/* Starts its bytes_peak anew from bytes_now. */
void mtf_account_reset_peak(mtf_account *account);

typedef struct mtf_flops {
    double forward, dx, dw; /* floating-point operations, counted where they were done */
} mtf_flops;

/* 1: counts the operations of all models from zero; 0: stops. The counts are those that plans
 * promise; losses and updates are left out. Not while a model is at work. */
void mtf_flops_count(int on);
void mtf_flops_get(mtf_flops *flops);
/* Tests only: the n-th allocation from now fails once (0: off). */
void mtf_memory_fail_after(uint64_t n);

#ifdef __cplusplus
}
#endif

#endif
