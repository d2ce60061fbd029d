/* image_tokens.h: how a table of positions is drawn over a grid of another size.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_IMAGE_TOKENS_H
#define MTF_OPS_IMAGE_TOKENS_H

#include "ops.h"

/* The inputs, weights and attributes of the operation: see ops.h. */
enum { IMAGE_CLS, IMAGE_DISTILLATION, IMAGE_REGISTERS, IMAGE_POSITIONS };

/* Point `index` of a side of `size` points over a side of `from` (1 .. INT32_MAX) known ones: known point i
 * weighs mtf_cubic_weight(&side, i), in first .. last and nothing outside. */
typedef struct mtf_cubic_side {
    int64_t from;
    int64_t first, last; /* of the known points that weigh something, cut to what there is */
    double centre;       /* in known points, of which point i covers i - 0.5 .. i + 0.5 */
    double width, a;     /* by which the kernel is widened; its parameter */
    double sum;          /* that weights are divided by */
} mtf_cubic_side;

mtf_cubic_side mtf_cubic_place(int64_t from, int64_t size, int64_t index, int antialias);
mtf_real mtf_cubic_weight(const mtf_cubic_side *side, int64_t point);

#endif
