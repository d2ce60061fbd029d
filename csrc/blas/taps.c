/* taps.c: packed forms of convolution weights (O, I, taps), see packed.h.
 *
 *   y   one product over all taps: its sums go over (tap, input), which is the order in which the
 *       pixels of a window lie: element (o, tap * I + i) = W[o][i][tap]
 *   dx  one weight a tap, (I, O): element (i, o) of tap t = W[o][i][t], panels of tap 0 first
 *
 * Layouts of the panels, and how int8 is quantised, as in kernels.def. In fp32 y is packed by pieces of
 * the master's rows, in the order in which they lie, and whole lines of a piece then go to their
 * places: read term by term, sixteen rows that lie a power of two apart would share a place in the
 * cache. The rest is made here once for every level.
 * SPDX-License-Identifier: Apache-2.0 */
#include "packed.h"

#include "../base/bf16.h"
#include "../base/real.h"

#include <string.h>

/* Terms of a piece of rows that is packed at once. */
#define PIECE_TERMS 128

/* Where the terms of the columns of one panel lie: term a * n_inner + b of column c at
 * from[c * step_column + a * step_outer + b * step_inner]. */
typedef struct source {
    const mtf_real *from;
    int64_t n_columns; /* that there are, at most MTF_PANEL */
    int64_t n_outer, n_inner, step_column, step_outer, step_inner;
} source;

static source source_of(const mtf_weight *w, mtf_use use, int64_t panel)
{
    const int64_t inputs = w->cols / w->taps;
    source s;
    int64_t first;
    int64_t n;
    if (use == MTF_USE_Y) {
        first = panel * MTF_PANEL;
        n = w->rows;
        s = (source){.from = w->master + first * w->cols,
                     .n_outer = w->taps,
                     .n_inner = inputs,
                     .step_column = w->cols,
                     .step_outer = 1,
                     .step_inner = w->taps};
    } else {
        const int64_t a_tap = (inputs + MTF_PANEL - 1) / MTF_PANEL;
        first = panel % a_tap * MTF_PANEL;
        n = inputs;
        s = (source){.from = w->master + first * w->taps + panel / a_tap,
                     .n_outer = 1,
                     .n_inner = w->rows,
                     .step_column = w->taps,
                     .step_inner = w->cols};
    }
    s.n_columns = n - first < MTF_PANEL ? n - first : MTF_PANEL;
    return s;
}

static void pack_f32(mtf_real *to, const source *s)
{
    for (int64_t a = 0; a < s->n_outer; a++) {
        for (int64_t b = 0; b < s->n_inner; b++) {
            const mtf_real *from = s->from + a * s->step_outer + b * s->step_inner;
            for (int64_t c = 0; c < s->n_columns; c++) {
                to[c] = from[c * s->step_column];
            }
            for (int64_t c = s->n_columns; c < MTF_PANEL; c++) {
                to[c] = 0;
            }
            to += MTF_PANEL;
        }
    }
}

/* One panel of the form for y: to [tap][inputs][MTF_PANEL]. */
static void pack_rows_f32(mtf_real *to, const mtf_weight *w, int64_t panel)
{
    mtf_real piece[PIECE_TERMS * MTF_PANEL]; /* [input, tap][MTF_PANEL] */
    const mtf_real *from = w->master + panel * MTF_PANEL * w->cols;
    const int64_t inputs = w->cols / w->taps;
    int64_t input = 0;
    int64_t tap = 0;
    for (int64_t first = 0; first < w->cols; first += PIECE_TERMS) {
        const int64_t terms = w->cols - first < PIECE_TERMS ? w->cols - first : PIECE_TERMS;
        mtf_kernel->pack_f32(piece, from + first, w->cols, 0, w->rows - panel * MTF_PANEL, terms, 0,
                             1);
        for (int64_t p = 0; p < terms; p++) {
            memcpy(to + (tap * inputs + input) * MTF_PANEL, piece + p * MTF_PANEL,
                   MTF_PANEL * sizeof *to);
            if (++tap == w->taps) {
                tap = 0;
                input++;
            }
        }
    }
}

static void pack_bf16(uint16_t *to, const source *s)
{
    const int64_t k = s->n_outer * s->n_inner;
    for (int64_t p = 0; p < (k + 1) / 2 * 2; p++) {
        const mtf_real *from =
            s->from + p / s->n_inner * s->step_outer + p % s->n_inner * s->step_inner;
        uint16_t *pair = to + p / 2 * 2 * MTF_PANEL + p % 2;
        for (int64_t c = 0; c < MTF_PANEL; c++) {
            pair[2 * c] =
                p < k && c < s->n_columns ? mtf_bf16_round((float)from[c * s->step_column]) : 0;
        }
    }
}

static void pack_int8(int8_t *to, float *scale, int32_t *sums, const source *s)
{
    const int64_t k = s->n_outer * s->n_inner;
    const int64_t whole = (k + 3) / 4 * 4;
    for (int64_t c = 0; c < MTF_PANEL; c++) {
        const mtf_real *column = s->from + c * s->step_column;
        mtf_real most = 0;
        int finite = 1;
        for (int64_t p = 0; p < k && c < s->n_columns; p++) {
            const mtf_real size =
                mtf_fabs(column[p / s->n_inner * s->step_outer + p % s->n_inner * s->step_inner]);
            finite = finite && isfinite(size);
            most = size > most ? size : most;
        }
        scale[c] = !finite                           ? (float)NAN
                   : most < (mtf_real)MTF_INT8_LEAST ? 0
                                                     : (float)most / 127.0F;
        sums[c] = 0;
        for (int64_t p = 0; p < whole; p++) {
            int8_t q = 0;
            if (p < k && finite && scale[c] > 0) {
                q = (int8_t)nearbyint((double)((float)column[p / s->n_inner * s->step_outer +
                                                             p % s->n_inner * s->step_inner] /
                                               scale[c]));
            }
            to[p / 4 * 4 * MTF_PANEL + c * 4 + p % 4] = q;
            sums[c] += q;
        }
    }
}

void mtf_taps_pack(void *panels, float *scale, int32_t *sums, const mtf_weight *w, mtf_use use,
                   mtf_precision precision, int64_t first, int64_t last)
{
    for (int64_t panel = first; panel < last; panel++) {
        const source s = source_of(w, use, panel);
        const int64_t k = s.n_outer * s.n_inner;
        switch (precision) {
        case MTF_PRECISION_F32:
            if (use == MTF_USE_Y) {
                pack_rows_f32((mtf_real *)panels + panel * k * MTF_PANEL, w, panel);
            } else {
                pack_f32((mtf_real *)panels + panel * k * MTF_PANEL, &s);
            }
            break;
        case MTF_PRECISION_BF16:
            pack_bf16((uint16_t *)panels + panel * ((k + 1) / 2 * 2) * MTF_PANEL, &s);
            break;
        case MTF_PRECISION_INT8:
            pack_int8((int8_t *)panels + panel * ((k + 3) / 4 * 4) * MTF_PANEL,
                      scale + panel * MTF_PANEL, sums + panel * MTF_PANEL, &s);
            break;
        }
    }
}
