/* boxes.h: how far a box is from another, [centre x, centre y, width, height].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_LOSSES_BOXES_H
#define MTF_LOSSES_BOXES_H

#include "../include/mtfreeze.h"

enum { MTF_BOX = 4 };

/* sum_i |a_i - b_i|; da (4) NULL, or receives its derivatives. a, b (4). */
double mtf_box_l1(double *da, const double *a, const double *b);
/* Generalized overlap of a and b (4), -1 .. 1; da (4) NULL, or receives its derivatives. b has a
 * width and a height above 0. */
double mtf_box_giou(double *da, const double *a, const double *b);

#endif
