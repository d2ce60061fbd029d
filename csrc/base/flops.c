/* flops.c: the counters of flops.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flops.h"

atomic_int mtf_flops_on;
atomic_uint_fast64_t mtf_flops_counted[MTF_FLOPS_KINDS];

void mtf_flops_get(mtf_flops *flops)
{
    flops->forward = (double)atomic_load(&mtf_flops_counted[MTF_FLOPS_FORWARD]);
    flops->dx = (double)atomic_load(&mtf_flops_counted[MTF_FLOPS_DX]);
    flops->dw = (double)atomic_load(&mtf_flops_counted[MTF_FLOPS_DW]);
}
