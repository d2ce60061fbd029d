/* Packing of weights into panels of MTF_PANEL columns; layout in kernels.def. Bound by memory.
 *
 * Rows of the weight become columns of a panel: eight rows at a time, eight terms at a time, in
 * registers. A transposed weight is copied in pieces of 32. Precision: values are moved.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"
#include "transpose.h"

AVX2_COMPILED(pack)

/* to [K][32], of which 8 columns are written: rows of w (rows,K), zeros past `rows`. */
static void pack_rows(float *to, const float *w, int64_t ldw, int64_t rows, int64_t k)
{
    const __m256 exist = _mm256_castsi256_ps(first_lanes(rows));
    const float *row[8];
    for (int64_t r = 0; r < 8; r++) {
        row[r] = rows > 0 ? w + (r < rows ? r : rows - 1) * ldw : NULL;
    }
    int64_t p = 0;
    for (; rows > 0 && p + 8 <= k; p += 8) {
        __m256 column[8];
        eight_columns(column, row, p);
        for (int c = 0; c < 8; c++) {
            _mm256_storeu_ps(to + (p + c) * MTF_PANEL, _mm256_and_ps(exist, column[c]));
        }
    }
    for (; p < k; p++) {
        for (int64_t r = 0; r < 8; r++) {
            to[p * MTF_PANEL + r] = r < rows ? row[r][p] : 0;
        }
    }
}

/* to [K][32] = columns of w (K,width), zeros past `width`. */
static void pack_columns(float *to, const float *w, int64_t ldw, int64_t width, int64_t k)
{
    for (int64_t p = 0; p < k; p++) {
        for (int64_t c = 0; c < MTF_PANEL; c += 8) {
            const __m256 values =
                width > c ? load_lanes(w + p * ldw + c, width - c) : _mm256_setzero_ps();
            _mm256_storeu_ps(to + p * MTF_PANEL + c, values);
        }
    }
}

void mtf_pack_f32_f32_avx2(float *panels, const float *w, int64_t ldw, int transposed, int64_t n,
                           int64_t k, int64_t first, int64_t last)
{
    for (int64_t panel = first; panel < last; panel++) {
        float *to = panels + panel * k * MTF_PANEL;
        const int64_t j = panel * MTF_PANEL;
        if (transposed) {
            pack_columns(to, w + j, ldw, n - j, k);
            continue;
        }
        for (int64_t c = 0; c < MTF_PANEL; c += 8) {
            pack_rows(to + c, n - j > c ? w + (j + c) * ldw : w, ldw, n - j - c, k);
        }
    }
}
