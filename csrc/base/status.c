/* status.c: formatting of error messages into the caller's mtf_error.
 * SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

mtf_status mtf_fail(mtf_error *err, mtf_status code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

mtf_status mtf_fail_memory(mtf_error *err, size_t bytes)
{
    return mtf_fail(
        err, MTF_ERR_MEMORY,
        "out of memory: %.1f MiB more were needed; use a smaller batch or token budget, "
        "or freeze more of the model",
        (double)bytes / 1048576.0);
}

void mtf_list_name(mtf_name_list *list, const char *name)
{
    const size_t room = sizeof list->text - list->length;
    const int n =
        snprintf(list->text + list->length, room, "%s%s", list->length > 0 ? ", " : "", name);
    if (n > 0 && (size_t)n < room) {
        list->length += (size_t)n;
    }
}
