/* deliver.h: hands a gradient that exists already to the input that it belongs to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_DELIVER_H
#define MTF_OPS_DELIVER_H

#include <string.h>

#include "ops.h"

/* din (n) = or += gradient (n). din NULL: nobody wants it; din may be `gradient` itself. */
static inline void mtf_deliver(mtf_real *din, const mtf_real *gradient, int64_t n, int add)
{
    if (din == NULL || din == gradient) {
        return;
    }
    if (add) {
        mtf_kernel->add_to(din, gradient, n);
    } else {
        memcpy(din, gradient, (size_t)n * sizeof *din);
    }
}

#endif
