/* windows.c: see windows.h.
 *
 * With `same` a side s has ceil(s / stride) windows, and of the border that they need the smaller half
 * lies before the grid. For kernels of odd size and their half as padding there are as many windows
 * either way, so only where they begin differs, and that by the side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "windows.h"

#include "../base/status.h"
#include "span.h"

#include <string.h>

mtf_windows mtf_windows_of(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    return (mtf_windows){.span = call->span,
                         .in_space = shape->in[0].space,
                         .out_space = shape->attrs.grid_space,
                         .width = shape->in[0].width,
                         .kernel = shape->attrs.kernel,
                         .stride = shape->attrs.stride,
                         .padding = shape->attrs.padding,
                         .same = shape->attrs.same};
}

static int64_t windows_along(const mtf_windows *w, int64_t side)
{
    return (side + 2 * w->padding - w->kernel) / w->stride + 1;
}

/* The border before the first row of a side that has `windows` windows. */
static int64_t border(const mtf_windows *w, int64_t side, int64_t windows)
{
    const int64_t whole = (windows - 1) * w->stride + w->kernel - side;
    return !w->same ? w->padding : whole > 0 ? whole / 2 : 0;
}

mtf_image mtf_windows_image(const mtf_windows *w, int64_t sequence)
{
    mtf_image image = {.in_begin = mtf_span_start(w->span, w->in_space, sequence),
                       .in_height = mtf_span_height(w->span, w->in_space, sequence),
                       .in_width = mtf_span_width(w->span, w->in_space, sequence),
                       .out_begin = mtf_span_start(w->span, w->out_space, sequence)};
    image.out_height = windows_along(w, image.in_height);
    image.out_width = windows_along(w, image.in_width);
    image.top = border(w, image.in_height, image.out_height);
    image.left = border(w, image.in_width, image.out_width);
    return image;
}

mtf_status mtf_windows_check(const mtf_node_shape *shape, const char *op, mtf_error *err)
{
    const mtf_attrs *a = &shape->attrs;
    if (a->kernel < 1 || a->stride < 1 || a->padding < 0 || a->padding >= a->kernel) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects windows of at least one row, a stride of at least 1 and a "
                        "border narrower than a window; found kernel %lld, stride %lld, padding "
                        "%lld; give others",
                        shape->label, op, (long long)a->kernel, (long long)a->stride,
                        (long long)a->padding);
    }
    if (a->same && (a->kernel % 2 == 0 || a->padding != a->kernel / 2)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects an odd kernel and half of it as padding where borders are "
                        "those of SAME; found kernel %lld, padding %lld; give others",
                        shape->label, op, (long long)a->kernel, (long long)a->padding);
    }
    if (a->grid_space <= MTF_SPACE_SEQUENCES || a->grid_space >= MTF_MAX_SPACES) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects the row space of its windows; declare a grid after that of "
                        "its input",
                        shape->label, op);
    }
    return MTF_OK;
}

/* Bytes a .. b - 1 of the windows' row `y` of pixels of `width` bytes, whose first one is column `x` of
 * the image; `pixels` begins at row `first` of the space. */
static void gather_run(char *to, const char *pixels, int64_t first, int64_t width,
                       const mtf_windows *w, const mtf_image *image, int64_t y, int64_t x,
                       int64_t a, int64_t b)
{
    if (y < 0 || y >= image->in_height) {
        memset(to, 0, (size_t)(b - a));
        return;
    }
    int64_t begin = x < 0 ? -x * width : 0;
    int64_t end = (x + w->kernel <= image->in_width ? w->kernel : image->in_width - x) * width;
    begin = begin < a ? a : begin > b ? b : begin;
    end = end > b ? b : end < begin ? begin : end;
    if (begin > a) {
        memset(to, 0, (size_t)(begin - a));
    }
    if (end > begin) {
        const char *row = pixels + (image->in_begin - first + y * image->in_width) * width;
        memcpy(to + begin - a, row + (x * width + begin), (size_t)(end - begin));
    }
    if (b > end) {
        memset(to + end - a, 0, (size_t)(b - end));
    }
}

/* Bytes k0 .. k1 - 1 of windows of pixels of `width` bytes, of which those before `begin` are left out, as
 * rows ld bytes apart. */
static void gather(char *to, int64_t ld, const char *x, int64_t begin, int64_t width,
                   const mtf_windows *w, int64_t first, int64_t m, int64_t k0, int64_t k1)
{
    const int64_t run = w->kernel * width;
    const int whole = k0 == 0 && k1 == w->kernel * run;
    int64_t sequence = mtf_span_find(w->span, w->out_space, first);
    mtf_image image = mtf_windows_image(w, sequence);
    int64_t down = (first - image.out_begin) / image.out_width;
    int64_t across = (first - image.out_begin) % image.out_width;
    for (int64_t r = 0; r < m; r++, across++, to += ld) {
        while (first + r >= mtf_span_start(w->span, w->out_space, sequence + 1)) {
            image = mtf_windows_image(w, ++sequence);
            down = 0;
            across = 0;
        }
        if (across == image.out_width) {
            across = 0;
            down++;
        }
        const int64_t y = down * w->stride - image.top;
        const int64_t left = across * w->stride - image.left;
        if (whole && y >= 0 && y + w->kernel <= image.in_height && left >= 0 &&
            left + w->kernel <= image.in_width) {
            const char *from = x + (image.in_begin - begin + y * image.in_width + left) * width;
            mtf_kernel->copy_runs(to, from, image.in_width * width, w->kernel, run);
            continue;
        }
        for (int64_t row = k0 / run; row * run < k1; row++) {
            const int64_t a = k0 > row * run ? k0 - row * run : 0;
            const int64_t b = k1 < (row + 1) * run ? k1 - row * run : run;
            gather_run(to + row * run + a - k0, x, begin, width, w, &image, y + row, left, a, b);
        }
    }
}

void mtf_windows_gather(mtf_real *to, int64_t ld, const mtf_real *x, const mtf_windows *w,
                        int64_t first, int64_t m, int64_t k0, int64_t k1)
{
    const int64_t size = (int64_t)sizeof *to;
    gather((char *)to, ld * size, (const char *)x, 0, w->width * size, w, first, m, k0 * size,
           k1 * size);
}

void mtf_windows_gather_halves(uint16_t *to, int64_t ld, const mtf_half_pixels *x,
                               const mtf_windows *w, int64_t first, int64_t m)
{
    const int64_t size = (int64_t)sizeof *to;
    const int64_t k = w->kernel * w->kernel * w->width;
    for (int64_t r = 0; r < m && k < ld; r++) { /* whole lines, before the values come over them */
        memset(to + (r + 1) * ld - MTF_HALVES, 0, MTF_HALVES * sizeof *to);
    }
    gather((char *)to, ld * size, (const char *)x->x, x->begin, w->width * size, w, first, m, 0,
           k * size);
}

static int64_t within(int64_t y, int64_t height)
{
    return y < 0 ? 0 : y > height ? height : y;
}

void mtf_windows_reach(const mtf_windows *w, int64_t first, int64_t m, int64_t *begin, int64_t *end)
{
    const mtf_image a = mtf_windows_image(w, mtf_span_find(w->span, w->out_space, first));
    const mtf_image b = mtf_windows_image(w, mtf_span_find(w->span, w->out_space, first + m - 1));
    const int64_t top = (first - a.out_begin) / a.out_width * w->stride - a.top;
    const int64_t last = (first + m - 1 - b.out_begin) / b.out_width * w->stride - b.top;
    *begin = a.in_begin + within(top, a.in_height) * a.in_width;
    *end = b.in_begin + within(last + w->kernel, b.in_height) * b.in_width;
}

int64_t mtf_windows_has_runs(const mtf_windows *w, int64_t first, int64_t m, int64_t room,
                             int64_t *grid_width)
{
    const int64_t sequence = mtf_span_find(w->span, w->out_space, first);
    const mtf_image image = mtf_windows_image(w, sequence);
    const int64_t left = mtf_span_start(w->span, w->out_space, sequence + 1) - first;
    const int64_t n = m < left ? m : left;
    if (w->stride != 1 || image.out_width != image.in_width ||
        image.out_height != image.in_height) {
        return 0;
    }
    *grid_width = image.in_width;
    const int64_t rows = n + (w->kernel + 1) * image.in_width; /* at most so many are reached */
    return rows * w->kernel * w->width <= room ? n : 0;
}

int64_t mtf_windows_runs(uint16_t *to, const mtf_half_pixels *x, const mtf_windows *w,
                         int64_t first, int64_t m)
{
    const int64_t width = w->width * (int64_t)sizeof *to;
    const int64_t run = w->kernel * width;
    const mtf_image image = mtf_windows_image(w, mtf_span_find(w->span, w->out_space, first));
    const int64_t place = first - image.out_begin;
    const int64_t y = place / image.out_width;
    const int64_t last = (place + m - 1) / image.out_width - image.top + w->kernel;
    const char *pixels = (const char *)x->x;
    char *at = (char *)to;
    for (int64_t row = y - image.top; row < last; row++) {
        const int inside = row >= 0 && row < image.in_height;
        const int64_t whole =
            inside ? image.in_width - w->kernel + 1 : 0; /* runs without a border */
        for (int64_t column = 0; column < image.in_width; column++, at += run) {
            if (column == image.left && whole > 0) {
                const int64_t pixel = image.in_begin - x->begin + row * image.in_width;
                mtf_kernel->copy_runs(at, pixels + pixel * width, width, whole, run);
                column += whole - 1;
                at += (whole - 1) * run;
                continue;
            }
            gather_run(at, pixels, x->begin, width, w, &image, row, column - image.left, 0, run);
        }
    }
    return place - y * image.out_width;
}

/* Columns begin .. end - 1 of a pixel, NULL: of the border, into a row of panels that lie `next`
 * values apart. */
static void put_panels(mtf_real *to, int64_t next, const mtf_real *pixel, int64_t begin,
                       int64_t end)
{
    for (int64_t c = begin; c < end; c += MTF_PANEL, to += next) {
        if (pixel != NULL) {
            memcpy(to, pixel + c, MTF_PANEL * sizeof *to);
        } else {
            memset(to, 0, MTF_PANEL * sizeof *to);
        }
    }
}

void mtf_windows_panels(mtf_real *panels, const mtf_real *x, const mtf_windows *w, int64_t first,
                        int64_t m, int64_t k0, int64_t k1)
{
    int64_t sequence = mtf_span_find(w->span, w->out_space, first);
    mtf_image image = mtf_windows_image(w, sequence);
    for (int64_t r = 0; r < m; r++) {
        while (first + r >= mtf_span_start(w->span, w->out_space, sequence + 1)) {
            image = mtf_windows_image(w, ++sequence);
        }
        const int64_t place = first + r - image.out_begin;
        const int64_t top = place / image.out_width * w->stride - image.top;
        const int64_t left = place % image.out_width * w->stride - image.left;
        for (int64_t tap = k0 / w->width; tap * w->width < k1; tap++) {
            const int64_t at = tap * w->width;
            const int64_t begin = k0 > at ? k0 - at : 0;
            const int64_t end = k1 < at + w->width ? k1 - at : w->width;
            const int64_t down = top + tap / w->kernel;
            const int64_t across = left + tap % w->kernel;
            const int there =
                down >= 0 && down < image.in_height && across >= 0 && across < image.in_width;
            put_panels(panels + (at + begin - k0) * m + r * MTF_PANEL, m * MTF_PANEL,
                       there ? x + (image.in_begin + down * image.in_width + across) * w->width
                             : NULL,
                       begin, end);
        }
    }
}
