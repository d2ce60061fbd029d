/* losses.c: finding a kind of loss by name, and a row in its targets; see losses.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <stdio.h>
#include <string.h>

mtf_status mtf_loss_find(const char *name, const mtf_loss_kind **kind, mtf_error *err)
{
    char known[256] = "";
    size_t length = 0;
    for (size_t i = 0; mtf_loss_table[i] != NULL; i++) {
        if (strcmp(mtf_loss_table[i]->name, name) == 0) {
            *kind = mtf_loss_table[i];
            return MTF_OK;
        }
        const int written = snprintf(known + length, sizeof known - length, "%s%s",
                                     i > 0 ? ", " : "", mtf_loss_table[i]->name);
        if (written > 0 && length + (size_t)written < sizeof known) {
            length += (size_t)written;
        }
    }
    return mtf_fail(err, MTF_ERR_NAME, "there is no loss \"%s\"; this build has: %s", name, known);
}

const void *mtf_loss_target(const mtf_loss_kind *kind, const void *targets, int64_t row, int64_t n)
{
    if (kind->targets == MTF_TARGET_LABELS) {
        return (const int32_t *)targets + row;
    }
    return (const mtf_real *)targets + row * n;
}
