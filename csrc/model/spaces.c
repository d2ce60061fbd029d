/* spaces.c: row spaces of pictures: grids, spaces whose rows follow from another's, and those with as
 * many rows for every picture.
 *
 * A sequence of such a space is one picture at its own size. The widths that a batch brings say what
 * its grid is; the rules here say which grids belong together, and plan/grids.c holds batches to them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

int64_t mtf_grid_side(const mtf_grid_window *windows, int64_t side)
{
    const int64_t stride = windows->stride;
    const int64_t room =
        side + 2 * windows->padding - windows->kernel + (windows->ceil ? stride - 1 : 0);
    if (room < 0) {
        return 0;
    }
    const int64_t n = room / stride + 1;
    return windows->ceil && (n - 1) * stride >= side + windows->padding ? n - 1 : n;
}

int32_t mtf_program_grid(mtf_program *p, const char *name, int64_t max_length)
{
    const int32_t space = mtf_program_space(p, name, max_length);
    if (p->failure.code == MTF_OK) {
        p->spaces[space].is_grid = 1;
    }
    return space;
}

int32_t mtf_program_grid_exact(mtf_program *p, const char *name, int64_t height, int64_t width)
{
    const int32_t space = mtf_program_grid(p, name, height * width);
    if (p->failure.code == MTF_OK) {
        p->spaces[space].height = height;
        p->spaces[space].width = width;
    }
    return space;
}

void mtf_program_rows_per_token(mtf_program *p, int32_t space, int64_t rows)
{
    if (p->failure.code == MTF_OK) {
        p->spaces[space].rows_per_token = rows;
    }
}

/* No grid of at most `rows` rows has more windows: a side s has at most (s + d) / stride, so h x w has
 * (hw + d (h + w) + d^2) / stride^2, with h + w up to rows + 1. */
static int64_t most_windows(const mtf_grid_window *windows, int64_t rows)
{
    const int64_t stride = windows->stride;
    const int64_t more = 2 * windows->padding - windows->kernel + (windows->ceil ? 2 : 1) * stride;
    const int64_t d = more > 0 ? more : 0;
    const int64_t most = (rows + d * (rows + 1) + d * d) / (stride * stride);
    return most > 1 ? most : 1;
}

int32_t mtf_program_grid_after(mtf_program *p, const char *name, int32_t of,
                               mtf_grid_window windows)
{
    if (p->failure.code != MTF_OK) {
        return 0;
    }
    if (!p->spaces[of].is_grid || windows.kernel < 1 || windows.stride < 1 || windows.padding < 0 ||
        windows.padding >= windows.kernel) {
        mtf_program_fail(p, MTF_ERR_CONFIG,
                         "windows go over a grid, with a kernel and a stride of at least 1 and a "
                         "padding below the kernel");
        return 0;
    }
    const int32_t space =
        mtf_program_grid(p, name, most_windows(&windows, p->spaces[of].max_length));
    if (p->failure.code == MTF_OK) {
        p->spaces[space].of = of;
        p->spaces[space].windows = windows;
        p->spaces[space].rows_per_token = p->spaces[of].rows_per_token;
    }
    if (p->failure.code == MTF_OK && p->spaces[of].height > 0) {
        mtf_space_def *def = &p->spaces[space];
        def->height = mtf_grid_side(&windows, p->spaces[of].height);
        def->width = mtf_grid_side(&windows, p->spaces[of].width);
        def->max_length = def->height * def->width;
        if (def->max_length < 1) {
            mtf_program_fail(p, MTF_ERR_CONFIG,
                             "a window is larger than the grid that it goes over");
        }
    }
    return space;
}

int32_t mtf_program_space_fixed(mtf_program *p, const char *name, int64_t rows)
{
    const int32_t space = mtf_program_space(p, name, rows);
    if (p->failure.code == MTF_OK) {
        p->spaces[space].fixed = rows;
    }
    return space;
}

int32_t mtf_program_space_after(mtf_program *p, const char *name, int32_t of, int64_t extra)
{
    if (p->failure.code != MTF_OK) {
        return 0;
    }
    const int32_t space = mtf_program_space(p, name, p->spaces[of].max_length + extra);
    if (p->failure.code == MTF_OK) {
        p->spaces[space].of = of;
        p->spaces[space].extra = extra;
    }
    return space;
}
