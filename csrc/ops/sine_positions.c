/* Where a row stands in its grid, as sines and cosines (Carion et al. 2020): no input, no weight.
 *
 *   y[r, 2j] = sin(2 pi h / f(j))   y[r, 2j + 1] = cos(2 pi h / f(j))      for 2j < C/2
 *   the other C/2 columns the same of w; f(j) = theta^(2j / (C/2))
 *
 *   h = (row + 1) / (rows of the grid + 1e-6), w = (column + 1) / (columns + 1e-6)
 *
 * The row space alone says what there is: the widths of a batch are what its grids are. Nothing passes
 * backward, nothing is saved. FLOPs: none are counted; each value is made once a row or column and
 * copied. Cut: by sequences. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"
#include "checks.h"
#include "span.h"

/* Of the lengths of sides, as the reference has it. */
#define EPS    1e-6
#define CIRCLE 6.283185307179586

static mtf_status sine_positions_check(mtf_node_shape *shape, mtf_error *err)
{
    const mtf_attrs *a = &shape->attrs;
    if (a->row_width < 4 || a->row_width % 4 != 0) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: sine_positions expects a width that is a multiple of 4, a sine and a "
                        "cosine of each side; found %lld; correct the configuration",
                        shape->label, (long long)a->row_width);
    }
    if (!(a->theta > 1) || !isfinite(a->theta)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: sine_positions expects a base of wavelengths above 1, found %g; "
                        "correct the configuration",
                        shape->label, a->theta);
    }
    if (a->row_space <= MTF_SPACE_SEQUENCES || a->row_space >= MTF_MAX_SPACES) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: sine_positions expects the row space of a grid; declare one first",
                        shape->label);
    }
    mtf_set_output(shape, a->row_space, a->row_width);
    return MTF_OK;
}

/* to (half): the lanes of place `index` of a side. */
static void fill_lanes(mtf_real *to, int64_t half, double theta, int64_t index, int64_t side)
{
    const double angle = (double)(index + 1) / ((double)side + EPS) * CIRCLE;
    for (int64_t i = 0; i < half; i += 2) {
        const double at = angle / pow(theta, (double)i / (double)half);
        to[i] = (mtf_real)sin(at);
        to[i + 1] = (mtf_real)cos(at);
    }
}

static void fill_grid(mtf_real *y, int64_t height, int64_t width, int64_t c, double theta)
{
    const int64_t half = c / 2;
    const size_t bytes = (size_t)half * sizeof *y;
    for (int64_t column = 0; column < width; column++) {
        fill_lanes(y + column * c + half, half, theta, column, width);
    }
    for (int64_t row = 0; row < height; row++) {
        mtf_real *first = y + row * width * c;
        fill_lanes(first, half, theta, row, height);
        for (int64_t column = 0; column < width; column++) {
            mtf_real *to = first + column * c;
            if (column > 0) {
                memcpy(to, first, bytes);
            }
            if (row > 0) {
                memcpy(to + half, y + column * c + half, bytes);
            }
        }
    }
}

static void sine_positions_forward(const mtf_op_call *call)
{
    const mtf_attrs *a = &call->shape->attrs;
    const mtf_span *span = call->span;
    for (int64_t s = 0; s < span->n_sequences; s++) {
        fill_grid(call->out[0] + mtf_span_start(span, a->row_space, s) * a->row_width,
                  mtf_span_height(span, a->row_space, s), mtf_span_width(span, a->row_space, s),
                  a->row_width, a->theta);
    }
}

/* Nothing below it takes a gradient. */
static void sine_positions_backward(const mtf_op_call *call)
{
    (void)call;
}

static mtf_cost sine_positions_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                    mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_sine_positions = {.name = "sine_positions",
                                      .locality = MTF_LOCAL_SEQUENCE,
                                      .check = sine_positions_check,
                                      .forward = sine_positions_forward,
                                      .backward = sine_positions_backward,
                                      .saves = mtf_saves_nothing,
                                      .cost = sine_positions_cost,
                                      .work = mtf_no_work,
                                      .grids = MTF_GRID_OF_OUTPUT};
