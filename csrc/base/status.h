/* status.h: filling an mtf_error. Nothing here allocates.
 *
 * csrc/base holds what needs nothing else: status, memory, threads, what the CPU can do and how much
 * of it we may use, random numbers, the scalar type, counters. Everybody may call it; it calls only
 * the system and mtfreeze.h.
 *
 *   return mtf_fail(err, MTF_ERR_SHAPE, "head expects %lld features, ...", ...);
 *
 * `err` may be NULL. The first failure wins: callers pass the error on and add nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_STATUS_H
#define MTF_BASE_STATUS_H

#include "../include/mtfreeze.h"
#include "compiler.h"

/* Writes code and formatted text into err (if given) and returns code. */
mtf_status mtf_fail(mtf_error *err, mtf_status code, const char *format, ...) MTF_PRINTF(3, 4);
/* Returns from the calling function when `call` fails; only where nothing is held that must be freed. */
#define MTF_TRY(call)                                                                              \
    do {                                                                                           \
        mtf_status mtf_try_ = (call);                                                              \
        if (mtf_try_ != MTF_OK) {                                                                  \
            return mtf_try_;                                                                       \
        }                                                                                          \
    } while (0)

/* The message for a failed allocation of `bytes`. */
mtf_status mtf_fail_memory(mtf_error *err, size_t bytes);

/* The names that a message lists, as many as fit; begins as {"", 0}. */
typedef struct mtf_name_list {
    char text[256];
    size_t length;
} mtf_name_list;

void mtf_list_name(mtf_name_list *list, const char *name);

#endif
