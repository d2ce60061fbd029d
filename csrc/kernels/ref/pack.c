/* Reference packing of weights into panels of MTF_PANEL output columns; layouts in kernels.def.
 *
 * Column n of the product is row n of the weight (N,K), or its column n with `transposed`. Columns
 * past N and the tail of K are zeros, so that products need no edges on the weights' side.
 * int8: scale = maxabs / 127, q = round(w / scale), ties to even; a column of zeros, or below
 * MTF_INT8_LEAST, has scale 0; one that is not finite has scale NaN and q = 0, which makes the
 * column of the product NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "../../base/real.h"
#include "ref.h"

/* Where the weight lies: element (column j, term p) is w[j * step_n + p * step_k]. */
typedef struct source {
    const mtf_real *w; /* (N,K) or (K,N) */
    int64_t step_n, step_k;
    int64_t n, k;
} source;

static source source_of(const mtf_real *w, int64_t ldw, int transposed, int64_t n, int64_t k)
{
    const source s = {w, transposed ? 1 : ldw, transposed ? ldw : 1, n, k};
    return s;
}

/* Element (j, p), zero past the edges. */
static mtf_real element(const source *s, int64_t j, int64_t p)
{
    return j < s->n && p < s->k ? s->w[j * s->step_n + p * s->step_k] : 0;
}

void mtf_pack_f32_ref(mtf_real *panels, const mtf_real *w, int64_t ldw, int transposed, int64_t n,
                      int64_t k, int64_t first, int64_t last)
{
    const source s = source_of(w, ldw, transposed, n, k);
    for (int64_t panel = first; panel < last; panel++) {
        mtf_real *to = panels + panel * k * MTF_PANEL;
        for (int64_t p = 0; p < k; p++) {
            for (int64_t c = 0; c < MTF_PANEL; c++) {
                to[p * MTF_PANEL + c] = element(&s, panel * MTF_PANEL + c, p);
            }
        }
    }
}

void mtf_pack_bf16_ref(uint16_t *panels, const mtf_real *w, int64_t ldw, int transposed, int64_t n,
                       int64_t k, int64_t first, int64_t last)
{
    const source s = source_of(w, ldw, transposed, n, k);
    const int64_t whole = (k + 1) / 2 * 2;
    for (int64_t panel = first; panel < last; panel++) {
        uint16_t *to = panels + panel * whole * MTF_PANEL;
        for (int64_t p = 0; p < whole; p++) {
            uint16_t *pair = to + p / 2 * 2 * MTF_PANEL + p % 2;
            for (int64_t c = 0; c < MTF_PANEL; c++) {
                pair[2 * c] = mtf_bf16_round((float)element(&s, panel * MTF_PANEL + c, p));
            }
        }
    }
}

/* Quantises column j into to[0], to[1 .. 3], to[4 * MTF_PANEL] ... */
static void pack_int8_column(int8_t *to, float *scale, int32_t *sum, const source *s, int64_t j)
{
    mtf_real most = 0;
    int finite = 1;
    for (int64_t p = 0; p < s->k; p++) {
        const mtf_real size = mtf_fabs(element(s, j, p));
        finite = finite && isfinite(size);
        most = size > most ? size : most;
    }
    *scale = !finite ? (float)NAN : most < (mtf_real)MTF_INT8_LEAST ? 0 : (float)most / 127.0F;
    *sum = 0;
    for (int64_t p = 0; p < (s->k + 3) / 4 * 4; p++) {
        int8_t q = 0;
        if (finite && *scale > 0) {
            q = (int8_t)nearbyint((double)((float)element(s, j, p) / *scale));
        }
        to[p / 4 * 4 * MTF_PANEL + p % 4] = q;
        *sum += q;
    }
}

void mtf_pack_int8_ref(int8_t *panels, float *scale, int32_t *sums, const mtf_real *w, int64_t ldw,
                       int transposed, int64_t n, int64_t k, int64_t first, int64_t last)
{
    const source s = source_of(w, ldw, transposed, n, k);
    for (int64_t panel = first; panel < last; panel++) {
        int8_t *to = panels + panel * ((k + 3) / 4 * 4) * MTF_PANEL;
        for (int64_t c = 0; c < MTF_PANEL; c++) {
            const int64_t j = panel * MTF_PANEL + c;
            pack_int8_column(to + 4 * c, scale + j, sums + j, &s, j);
        }
    }
}
