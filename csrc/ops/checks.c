/* The questions that every operation's check asks of its node (checks.h). They run once, when a
 * program is built; the operations themselves then trust their shapes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"

mtf_status mtf_check_input(const mtf_node_shape *shape, const char *op, int index, const char *name,
                           int64_t width, mtf_error *err)
{
    const mtf_slot *slot = &shape->in[index];
    if (slot->width <= 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects input %d (%s), found none; connect a tensor to it",
                        shape->label, op, index, name);
    }
    if (slot->is_ids) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects real numbers in input %d (%s), found ids; embed them first",
                        shape->label, op, index, name);
    }
    if (width > 0 && slot->width != width) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects width %lld in input %d (%s), found %lld; connect a tensor "
                        "of that width or change the configured sizes",
                        shape->label, op, (long long)width, index, name, (long long)slot->width);
    }
    return MTF_OK;
}

mtf_status mtf_check_ids(const mtf_node_shape *shape, const char *op, int index, const char *name,
                         mtf_error *err)
{
    const mtf_slot *slot = &shape->in[index];
    if (slot->width <= 0 || !slot->is_ids) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects ids in input %d (%s), found %s; connect an input of ids",
                        shape->label, op, index, name, slot->width > 0 ? "real numbers" : "none");
    }
    return MTF_OK;
}

mtf_status mtf_check_space(const mtf_node_shape *shape, const char *op, int index, const char *name,
                           mtf_error *err)
{
    if (shape->in[index].space != shape->in[0].space) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects input %d (%s) in the row space of its first input, found "
                        "another one; pool or repeat the rows first",
                        shape->label, op, index, name);
    }
    return MTF_OK;
}

mtf_status mtf_check_weight(const mtf_node_shape *shape, const char *op, int index,
                            const char *name, int64_t rows, int64_t cols, mtf_error *err)
{
    int64_t has_rows = shape->weight_rows[index];
    int64_t has_cols = shape->weight_cols[index];
    if (has_rows <= 0 || has_cols <= 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects weight %d (%s), found none; declare the parameter",
                        shape->label, op, index, name);
    }
    int64_t want_rows = rows > 0 ? rows : has_rows;
    int64_t want_cols = cols > 0 ? cols : has_cols;
    if (has_rows != want_rows || has_cols != want_cols) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: %s expects weight %d (%s) of shape (%lld, %lld), found (%lld, %lld); "
                        "change the configured sizes to agree with it",
                        shape->label, op, index, name, (long long)want_rows, (long long)want_cols,
                        (long long)has_rows, (long long)has_cols);
    }
    return MTF_OK;
}

mtf_status mtf_check_eps(const mtf_node_shape *shape, const char *op, mtf_error *err)
{
    double eps = (double)shape->attrs.eps;
    if (!(eps > 0) || !isfinite(eps)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects a positive, finite eps, found %g; correct the "
                        "configuration",
                        shape->label, op, eps);
    }
    return MTF_OK;
}

mtf_status mtf_check_rate(const mtf_node_shape *shape, const char *op, mtf_error *err)
{
    double rate = (double)shape->attrs.rate;
    if (!(rate >= 0 && rate < 1)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects a dropout rate of at least 0 and below 1, found %g; "
                        "correct the configuration",
                        shape->label, op, rate);
    }
    return MTF_OK;
}

mtf_status mtf_check_clip(const mtf_node_shape *shape, const char *op, mtf_error *err)
{
    const mtf_activation act = shape->attrs.activation;
    if (act != MTF_ACT_NONE && act != MTF_ACT_RELU && act != MTF_ACT_RELU6) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects no activation, relu or relu6; give others a node of their "
                        "own",
                        shape->label, op);
    }
    return MTF_OK;
}

void mtf_set_output(mtf_node_shape *shape, int32_t space, int64_t width)
{
    memset(shape->out, 0, sizeof shape->out);
    memset(shape->aux, 0, sizeof shape->aux);
    shape->out[0].space = space;
    shape->out[0].width = width;
}

size_t mtf_no_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)shape;
    (void)extent;
    (void)backward;
    return 0;
}

mtf_save mtf_saves_nothing(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    (void)need;
    return (mtf_save){0};
}
