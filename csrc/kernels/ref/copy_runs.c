/* Reference copy of runs of bytes; the slot copy_runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

#include <string.h>

void mtf_copy_runs_ref(char *to, const char *from, int64_t step, int64_t n, int64_t run)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * run, from + i * step, (size_t)run);
    }
}
