/* places.h: where the tensors of a plan lie.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PLAN_PLACES_H
#define MTF_PLAN_PLACES_H

#include "plan.h"

/* Fills place, scratch, grad_slot and the arenas of a plan whose steps are listed. `gets`
 * (n_tensors): a gradient arrives; `in_prefix` (n_tensors): the frozen prefix makes it. 0: out of
 * memory. */
int mtf_places_assign(mtf_plan *plan, const unsigned char *gets, const unsigned char *in_prefix);

#endif
