/* windows.h: windows over the grids of images, for operations that look around in them.
 *
 * A grid of H x W rows, a border of `padding` around it, windows of kernel x kernel rows a `stride`
 * apart: there are (H + 2 padding - kernel) / stride + 1 of them down, as many by W across. One row of
 * the output's space is one window, row by row.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_WINDOWS_H
#define MTF_OPS_WINDOWS_H

#include "ops.h"

/* Windows of one node over a span: rows of `in_space` are pixels, rows of `out_space` windows. */
typedef struct mtf_windows {
    const mtf_span *span;
    int32_t in_space, out_space;
    int64_t width; /* of a row of pixels */
    int64_t kernel, stride, padding;
    int same; /* borders as TensorFlow's SAME has them: see windows.c */
} mtf_windows;

/* Those of the node of a call; input 0 holds the pixels. */
mtf_windows mtf_windows_of(const mtf_op_call *call);

/* An image of the span: its first pixel and window, the sides of its grids. */
typedef struct mtf_image {
    int64_t in_begin, in_height, in_width;
    int64_t out_begin, out_height, out_width;
    int64_t top, left; /* rows and columns of the border before the grid */
} mtf_image;

mtf_image mtf_windows_image(const mtf_windows *w, int64_t sequence);

/* Attributes kernel, stride, padding and grid_space are in range; `op` names the operation. */
MTF_NODISCARD mtf_status mtf_windows_check(const mtf_node_shape *shape, const char *op,
                                           mtf_error *err);

/* to (m, k1 - k0), rows ld apart, = columns k0 .. k1 - 1 of the windows first .. first + m - 1 as rows
 * of kernel * kernel * width values (down, across, column); zeros where a window leaves the grid. */
void mtf_windows_gather(mtf_real *to, int64_t ld, const mtf_real *x, const mtf_windows *w,
                        int64_t first, int64_t m, int64_t k0, int64_t k1);
/* The same as panels [panel][m][MTF_PANEL], as products in fp32 read them; width, k0 and k1 are
 * multiples of MTF_PANEL. */
void mtf_windows_panels(mtf_real *panels, const mtf_real *x, const mtf_windows *w, int64_t first,
                        int64_t m, int64_t k0, int64_t k1);

/* Rows of pixels begin .. end - 1 are what windows first .. first + m - 1 reach. */
void mtf_windows_reach(const mtf_windows *w, int64_t first, int64_t m, int64_t *begin,
                       int64_t *end);

/* Pixels in bf16, of which those before row `begin` of the space are left out. */
typedef struct mtf_half_pixels {
    const uint16_t *x;
    int64_t begin;
} mtf_half_pixels;

/* The runs that windows first .. first + m - 1 of one image are made of: around each pixel of the rows of
 * pixels that they reach, kernel pixels across, as rows of kernel * width values. To be asked for where
 * mtf_windows_has_runs(): then run number `down` of a window lies down * (width of the grid) rows behind
 * its first one, and that of the window `first` in the row that is returned. */
int64_t mtf_windows_runs(uint16_t *to, const mtf_half_pixels *x, const mtf_windows *w,
                         int64_t first, int64_t m);
/* Windows of this image that follow each other from `first` on, at most m; 0: not made of runs, or they
 * would take more than `room` values. */
int64_t mtf_windows_has_runs(const mtf_windows *w, int64_t first, int64_t m, int64_t room,
                             int64_t *grid_width);

/* Whole windows of pixels in bf16, with zeros behind the K values of each row up to ld. */
void mtf_windows_gather_halves(uint16_t *to, int64_t ld, const mtf_half_pixels *x,
                               const mtf_windows *w, int64_t first, int64_t m);

#endif
