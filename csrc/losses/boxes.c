/* Distances of boxes, and what they change with the first box.
 *
 *   L1    sum of the differences of centre x, centre y, width, height
 *   GIoU  I/U - (C - U)/C = I/U + U/C - 1
 *         I: area that both share, U: that either has, C: of the smallest box around both
 *
 * Reference: Rezatofighi and others 2019. At a corner of a function (equal sides, boxes that touch)
 * the derivative is PyTorch's: 0 of |x| at 0, half of a largest of two equal ones. All in double.
 * SPDX-License-Identifier: Apache-2.0 */
#include "boxes.h"

#include <math.h>

double mtf_box_l1(double *da, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < MTF_BOX; i++) {
        const double d = a[i] - b[i];
        sum += fabs(d);
        if (da != NULL) {
            da[i] = d > 0 ? 1 : d < 0 ? -1 : 0;
        }
    }
    return sum;
}

/* What is a's part in the larger of a and b. */
static double part_in_larger(double a, double b)
{
    return a > b ? 1 : a < b ? 0 : 0.5;
}

/* Along one side: the box's own length, the shared one, that around both, the latter two with their
 * derivatives by where a begins and ends. */
typedef struct side {
    double own, shared, around;
    double shared_first, shared_last, around_first, around_last;
} side;

static side side_of(const double *a, const double *b, int at)
{
    const double size = a[at + 2];
    const double first = a[at] - size / 2, last = a[at] + size / 2;
    const double other_first = b[at] - b[at + 2] / 2, other_last = b[at] + b[at + 2] / 2;
    const double shared = fmin(last, other_last) - fmax(first, other_first);
    side s = {.own = last - first,
              .shared = shared > 0 ? shared : 0,
              .around = fmax(last, other_last) - fmin(first, other_first)};
    if (shared >= 0) {
        s.shared_first = -part_in_larger(first, other_first);
        s.shared_last = part_in_larger(other_last, last);
    }
    s.around_first = -part_in_larger(other_first, first);
    s.around_last = part_in_larger(last, other_last);
    return s;
}

double mtf_box_giou(double *da, const double *a, const double *b)
{
    const side x = side_of(a, b, 0), y = side_of(a, b, 1);
    const double shared = x.shared * y.shared;
    const double both = x.own * y.own + b[2] * b[3] - shared;
    const double around = x.around * y.around;
    if (da != NULL) {
        const double by_shared = 1 / both + shared / (both * both) - 1 / around;
        const double by_own = 1 / around - shared / (both * both);
        const double by_around = -both / (around * around);
        const side *const sides[] = {&x, &y};
        for (int at = 0; at < 2; at++) {
            const side *s = sides[at], *other = sides[1 - at];
            const double first = by_shared * other->shared * s->shared_first - by_own * other->own +
                                 by_around * other->around * s->around_first;
            const double last = by_shared * other->shared * s->shared_last + by_own * other->own +
                                by_around * other->around * s->around_last;
            da[at] = first + last;
            da[at + 2] = (last - first) / 2;
        }
    }
    return shared / both + both / around - 1;
}
