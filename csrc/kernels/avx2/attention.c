/* Attention of one head over one sequence, forward; formulas as in ref/attention.c.
 *
 * Four queries at a time: scores against a transposed copy of k (padded to whole registers, so that
 * lanes are keys), exponentials, then the weighted sum of rows of v. A query's bits depend on its
 * own row and on the keys that it sees: every sum goes over d or over keys in order, and a block at
 * the end repeats its last query.
 * Precision: fused multiply-adds, vector exp (elementary.h); the sum of exponentials in eight
 * lanes; the division by it comes after the sum over v. SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "../../base/random.h"
#include "avx2.h"
#include "dropout.h"
#include "elementary.h"

#include <math.h>

AVX2_COMPILED(attention)

/* Turns n scores in `row` into exponentials over their maximum, padded with zeros to whole
 * registers; returns their sum and writes the maximum. */
static float exponentials(float *row, int64_t n, float *largest)
{
    __m256 most = F32X8(-INFINITY);
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 lanes = _mm256_castsi256_ps(first_lanes(n - j));
        const __m256 s = _mm256_blendv_ps(F32X8(-INFINITY), _mm256_loadu_ps(row + j), lanes);
        most = _mm256_max_ps(most, s);
    }
    *largest = max_lanes(most);
    const __m256 top = F32X8(*largest);
    __m256 total = _mm256_setzero_ps();
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 lanes = _mm256_castsi256_ps(first_lanes(n - j));
        __m256 e = exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(row + j), top));
        e = _mm256_and_ps(e, lanes);
        _mm256_storeu_ps(row + j, e);
        total = _mm256_add_ps(total, e);
    }
    return sum_lanes(total);
}

static void drop_row(float *row, int64_t n, const mtf_mask *drop, int64_t query)
{
    const uint64_t row_key = mtf_random_mix(drop->key, (uint64_t)query);
    const __m256 factor = F32X8(drop->keep_scale);
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 kept = keeps_f32x8(row_key, (uint32_t)j, drop->threshold);
        const __m256 p = _mm256_mul_ps(_mm256_loadu_ps(row + j), factor);
        _mm256_storeu_ps(row + j, _mm256_and_ps(p, kept));
    }
}

void mtf_attention_fwd_f32_avx2(float *out, int64_t ldo, float *lse, int64_t ld_lse, const float *q,
                                int64_t ldq, const float *k, int64_t ldk, const float *v,
                                int64_t ldv, const float *bias, int64_t lq, int64_t lk, int64_t d,
                                int causal, float scale, const mtf_mask *drop, float *work)
{
    const int64_t ldt = padded_keys(lk);
    float *kt = work;             /* (D, ldt) */
    float *scores = kt + d * ldt; /* (ROWS, ldt) */
    transpose_keys(kt, ldt, k, ldk, lk, d);
    for (int64_t i = 0; i < lq; i += ROWS) {
        const int n_rows = lq - i < ROWS ? (int)(lq - i) : ROWS;
        int64_t n[ROWS];
        float factor[ROWS];
        const float *q_rows[ROWS];
        for (int r = 0; r < ROWS; r++) {
            const int64_t query = i + (r < n_rows ? r : n_rows - 1);
            q_rows[r] = q + query * ldq;
            n[r] = visible_keys(query, lq, lk, causal);
        }
        /* n[] never falls, so the last row sees the most */
        dot_rows(scores, ldt, q_rows, kt, n[ROWS - 1], d);
        for (int r = 0; r < n_rows; r++) {
            float *row = scores + r * ldt;
            scale_row(row, bias != NULL ? bias + (i + r) * lk : NULL, n[r], scale);
            float largest = -INFINITY;
            const float total = n[r] > 0 ? exponentials(row, n[r], &largest) : 0;
            factor[r] = n[r] > 0 ? 1.0F / total : 0;
            if (lse != NULL) {
                lse[(i + r) * ld_lse] = n[r] > 0 ? largest + logf(total) : -INFINITY;
            }
            if (drop != NULL) {
                drop_row(row, n[r], drop, i + r);
            }
        }
        weighted_sum(out + i * ldo, ldo, scores, ldt, n, n_rows, v, ldv, d, factor, 0);
    }
}
