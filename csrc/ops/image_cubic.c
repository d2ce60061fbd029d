/* image_cubic.c: weights of bicubic interpolation along one side of a grid.
 *
 *   k(t) = (a + 2)|t|^3 - (a + 3)|t|^2 + 1        for |t| < 1
 *        = a |t|^3 - 5a |t|^2 + 8a |t| - 4a       for |t| < 2, else 0
 *
 * Point j of `size` stands over (j + 0.5) from / size - 0.5 of the known points (align_corners false).
 * Plain: a = -0.75, points outside of the grid are its border's (their weights are the border's too).
 * Antialiased: a = -0.5, a grid that shrinks has the kernel widened by from / size, points outside
 * are left out and the weights divided by their sum. Both as torch.nn.functional.interpolate has them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "image_tokens.h"

#include <math.h>

static double cubic(double t, double a)
{
    const double x = fabs(t);
    if (x < 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

mtf_cubic_side mtf_cubic_place(int64_t from, int64_t size, int64_t index, int antialias)
{
    const double scale = (double)from / (double)size;
    mtf_cubic_side side = {.from = from,
                           .centre = ((double)index + 0.5) * scale - 0.5,
                           .width = 1,
                           .a = -0.75,
                           .sum = 1};
    if (!antialias) {
        const int64_t at = (int64_t)floor(side.centre);
        side.first = clamp(at - 1, from - 1);
        side.last = clamp(at + 2, from - 1);
        return side;
    }
    side.width = scale > 1 ? scale : 1;
    side.a = -0.5;
    side.first = clamp((int64_t)ceil(side.centre - 2 * side.width), from - 1);
    side.last = clamp((int64_t)floor(side.centre + 2 * side.width), from - 1);
    double sum = 0;
    for (int64_t i = side.first; i <= side.last; i++) {
        sum += cubic(((double)i - side.centre) / side.width, side.a);
    }
    side.sum = sum;
    return side;
}

mtf_real mtf_cubic_weight(const mtf_cubic_side *side, int64_t point)
{
    double weight = cubic(((double)point - side->centre) / side->width, side->a);
    if (side->a == -0.75) { /* a border point weighs for all those beyond it */
        for (int64_t i = -2; i < 0 && point == 0; i++) {
            weight += cubic((double)i - side->centre, side->a);
        }
        for (int64_t i = 0; i < 2 && point == side->from - 1; i++) {
            weight += cubic((double)(side->from + i) - side->centre, side->a);
        }
    }
    return (mtf_real)(weight / side->sum);
}
