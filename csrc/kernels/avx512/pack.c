/* Packing of weights into panels of MTF_PANEL columns; layout in kernels.def. Bound by memory.
 *
 * Rows of the weight become columns of a panel: sixteen rows at a time, four terms at a time, in
 * registers. A transposed weight is copied in pieces of 32. Precision: values are moved.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"
#include "transpose.h"

AVX512_COMPILED(pack)

/* to [K][32], of which 16 columns are written: rows of w (rows,K), zeros past `rows`. */
static void pack_rows(float *to, const float *w, int64_t ldw, int64_t rows, int64_t k)
{
    const __mmask16 exist = first_lanes(rows);
    const float *row[16];
    for (int64_t r = 0; r < 16; r++) {
        row[r] = w + (r < rows ? r : rows - 1) * ldw;
    }
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
        __m512 column[4];
        four_columns(column, row, p);
        for (int c = 0; c < 4; c++) {
            _mm512_storeu_ps(to + (p + c) * MTF_PANEL, _mm512_maskz_mov_ps(exist, column[c]));
        }
    }
    for (; p < k; p++) {
        for (int64_t r = 0; r < 16; r++) {
            to[p * MTF_PANEL + r] = r < rows ? row[r][p] : 0;
        }
    }
}

/* to [K][32] = columns of w (K,width), zeros past `width`. */
static void pack_columns(float *to, const float *w, int64_t ldw, int64_t width, int64_t k)
{
    for (int64_t p = 0; p < k; p++) {
        const float *from = w + p * ldw;
        _mm512_storeu_ps(to + p * MTF_PANEL, load_lanes(from, width));
        _mm512_storeu_ps(to + p * MTF_PANEL + 16, load_lanes(from + 16, width - 16));
    }
}

void mtf_pack_f32_f32_avx512(float *panels, const float *w, int64_t ldw, int transposed, int64_t n,
                             int64_t k, int64_t first, int64_t last)
{
    for (int64_t panel = first; panel < last; panel++) {
        float *to = panels + panel * k * MTF_PANEL;
        const int64_t j = panel * MTF_PANEL;
        if (transposed) {
            pack_columns(to, w + j, ldw, n - j, k);
            continue;
        }
        pack_rows(to, w + j * ldw, ldw, n - j, k);
        if (n - j > 16) {
            pack_rows(to + 16, w + (j + 16) * ldw, ldw, n - j - 16, k);
        } else {
            for (int64_t p = 0; p < k; p++) {
                _mm512_storeu_ps(to + p * MTF_PANEL + 16, _mm512_setzero_ps());
            }
        }
    }
}
