/* alloc.h: all heap of the core: 64-byte aligned, counted, failure-injectable.
 *
 * The size is stored in front of the block, so that frees are counted too. Thread-safe.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_ALLOC_H
#define MTF_BASE_ALLOC_H

#include "../include/mtfreeze.h"

/* NULL when memory is short or a failure was injected. size 0 gives a valid block. */
MTF_NODISCARD void *mtf_alloc(size_t size);
MTF_NODISCARD void *mtf_alloc_zero(size_t size);
/* n * size with overflow check; NULL on overflow. */
MTF_NODISCARD void *mtf_alloc_array(size_t n, size_t size);
/* Grows or shrinks, contents kept; on failure NULL and the old block stays. block NULL: new. */
MTF_NODISCARD void *mtf_realloc(void *block, size_t size);
/* Copy of a text; NULL when memory is short. */
MTF_NODISCARD char *mtf_alloc_text(const char *text);
void mtf_free(void *block); /* NULL is fine */

#endif
