/* losses.c: finding a kind of loss by name, and a row in its targets; see losses.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <string.h>

mtf_status mtf_loss_find(const char *name, const mtf_loss_kind **kind, mtf_error *err)
{
    mtf_name_list known = {"", 0};
    for (size_t i = 0; mtf_loss_table[i] != NULL; i++) {
        if (strcmp(mtf_loss_table[i]->name, name) == 0) {
            *kind = mtf_loss_table[i];
            return MTF_OK;
        }
        mtf_list_name(&known, mtf_loss_table[i]->name);
    }
    return mtf_fail(err, MTF_ERR_NAME, "there is no loss \"%s\"; this build has: %s", name,
                    known.text);
}

const void *mtf_loss_target(const mtf_loss_kind *kind, const void *targets, int64_t row, int64_t n)
{
    if (kind->targets == MTF_TARGET_LABELS) {
        return (const int32_t *)targets + row;
    }
    return (const mtf_real *)targets + row * n;
}
