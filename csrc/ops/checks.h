/* checks.h: the questions that every operation's check asks of its node, and the answers that
 * several give.
 *
 * Messages name the node by its label and say what was expected, what was found and what to do.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_CHECKS_H
#define MTF_OPS_CHECKS_H

#include "ops.h"

static inline int mtf_has_input(const mtf_node_shape *shape, int index)
{
    return shape->in[index].width > 0;
}

static inline int mtf_has_weight(const mtf_node_shape *shape, int index)
{
    return shape->weight_rows[index] > 0;
}

/* Input `index` is connected, real, and `width` wide (0: any width). */
MTF_NODISCARD mtf_status mtf_check_input(const mtf_node_shape *shape, const char *op, int index,
                                         const char *name, int64_t width, mtf_error *err);
/* Input `index` is connected and holds ids. */
MTF_NODISCARD mtf_status mtf_check_ids(const mtf_node_shape *shape, const char *op, int index,
                                       const char *name, mtf_error *err);
/* Inputs `index` and 0 have their rows in the same space. */
MTF_NODISCARD mtf_status mtf_check_space(const mtf_node_shape *shape, const char *op, int index,
                                         const char *name, mtf_error *err);
/* Weight `index` is connected and (rows, cols); 0: any size. */
MTF_NODISCARD mtf_status mtf_check_weight(const mtf_node_shape *shape, const char *op, int index,
                                          const char *name, int64_t rows, int64_t cols,
                                          mtf_error *err);
/* Attribute eps is a positive number; attribute rate is in 0 <= rate < 1. */
MTF_NODISCARD mtf_status mtf_check_eps(const mtf_node_shape *shape, const char *op, mtf_error *err);
MTF_NODISCARD mtf_status mtf_check_rate(const mtf_node_shape *shape, const char *op,
                                        mtf_error *err);

/* Attribute activation is none, relu or relu6, whose slope their output says. */
MTF_NODISCARD mtf_status mtf_check_clip(const mtf_node_shape *shape, const char *op,
                                        mtf_error *err);

/* Clears out[] and aux[] and gives out[0] this space and width. */
void mtf_set_output(mtf_node_shape *shape, int32_t space, int64_t width);

/* For mtf_op.work and mtf_op.saves of operations that need no work and read no activation back. */
size_t mtf_no_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward);
mtf_save mtf_saves_nothing(const mtf_node_shape *shape, mtf_need need);

#endif
