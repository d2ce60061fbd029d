/* ref.h: the reference kernels by name: mtf_<slot>_ref, one for every slot of kernels.def.
 *
 * Written in mtf_real, plain C, in loops that compilers vectorise without reassociation: a sum that
 * should be fast is written out as REF_LANES partial sums.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_REF_REF_H
#define MTF_KERNELS_REF_REF_H

#include "../kernels.h"

#define MTF_KERNEL(result, name, args) result mtf_##name##_ref args;
#include "../kernels.def"
#undef MTF_KERNEL

#define REF_LANES 8

/* Partial sums in a fixed tree. */
static inline mtf_real ref_sum_lanes(const mtf_real acc[REF_LANES])
{
    return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}

#endif
