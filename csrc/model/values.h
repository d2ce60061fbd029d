/* values.h: the memory of parameters that come and go together: those of the backbone, or of one head.
 *
 * It goes with its last owner. The network is one; whoever reads the values beyond the life of a head
 * is another (mtf_model_hold_values). Owners may be counted up and down on any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_VALUES_H
#define MTF_MODEL_VALUES_H

#include "../include/mtfreeze.h"

/* Room for n values with one owner; NULL when memory is short. Given back by mtf_values_release(). */
MTF_NODISCARD mtf_values *mtf_values_new(int64_t n);
/* One more owner; returns `values`. */
mtf_values *mtf_values_hold(mtf_values *values);
mtf_real *mtf_values_data(const mtf_values *values); /* (n) */

#endif
