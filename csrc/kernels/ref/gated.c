/* Reference gated product: y = act(a) * b, forward and backward.
 *
 *   da = dy * b * act'(a)      db = dy * act(a)               Dauphin et al. 2017, Shazeer 2020
 *
 * Activations and slopes are those of activation.c, by pieces of PIECE columns. Elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

#include <string.h>

enum { PIECE = 64 };

/* What one row's piece of n columns gives: act(a) into `value`. */
static void activate_piece(mtf_real *value, const mtf_real *a, int64_t n, mtf_activation act)
{
    memcpy(value, a, (size_t)n * sizeof *value);
    mtf_bias_act_fwd_ref(value, NULL, NULL, 1, n, act);
}

void mtf_gated_fwd_ref(mtf_real *y, const mtf_real *a, int64_t lda, const mtf_real *b, int64_t ldb,
                       int64_t m, int64_t n, mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        activate_piece(y + i * n, a + i * lda, n, act);
        for (int64_t j = 0; j < n; j++) {
            y[i * n + j] *= b[i * ldb + j];
        }
    }
}

static void deliver(mtf_real *to, const mtf_real *from, int64_t n, int add)
{
    for (int64_t j = 0; j < n; j++) {
        to[j] = add ? to[j] + from[j] : from[j];
    }
}

void mtf_gated_bwd_ref(mtf_real *da, mtf_real *db, const mtf_real *dy, const mtf_real *a,
                       int64_t lda, const mtf_real *b, int64_t ldb, int64_t m, int64_t n,
                       mtf_activation act, int add_a, int add_b)
{
    mtf_real piece[PIECE];
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j += PIECE) {
            const int64_t width = n - j < PIECE ? n - j : PIECE;
            const mtf_real *g = dy + i * n + j;
            const mtf_real *in = a + i * lda + j;
            if (da != NULL) {
                for (int64_t l = 0; l < width; l++) {
                    piece[l] = g[l] * b[i * ldb + j + l];
                }
                mtf_act_bwd_ref(piece, piece, in, width, act);
                deliver(da + i * lda + j, piece, width, add_a);
            }
            if (db != NULL) {
                activate_piece(piece, in, width, act);
                for (int64_t l = 0; l < width; l++) {
                    piece[l] *= g[l];
                }
                deliver(db + i * ldb + j, piece, width, add_b);
            }
        }
    }
}
