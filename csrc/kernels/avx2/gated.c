/* Gated product, eight values at a time; formulas as in ref/gated.c, activations in activation.h.
 *
 * Elementwise: nothing depends on place or row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include "avx2.h"

AVX2_COMPILED(gated)

/* Both are always inlined with a constant `act`, so that the switch is outside the loops. */
static inline __attribute__((always_inline)) void forward_rows(float *y, const float *a,
                                                               int64_t lda, const float *b,
                                                               int64_t ldb, int64_t m, int64_t n,
                                                               mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j += 8) {
            const __m256 value = activate(load_lanes(a + i * lda + j, n - j), act);
            const __m256 factor = load_lanes(b + i * ldb + j, n - j);
            store_lanes(y + i * n + j, n - j, _mm256_mul_ps(value, factor));
        }
    }
}

static inline void deliver(float *to, int64_t n, __m256 v, int add)
{
    store_lanes(to, n, add ? _mm256_add_ps(load_lanes(to, n), v) : v);
}

static inline __attribute__((always_inline)) void
backward_rows(float *da, float *db, const float *dy, const float *a, int64_t lda, const float *b,
              int64_t ldb, int64_t m, int64_t n, mtf_activation act, int add_a, int add_b)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j += 8) {
            const __m256 g = load_lanes(dy + i * n + j, n - j);
            const __m256 in = load_lanes(a + i * lda + j, n - j);
            if (da != NULL) {
                const __m256 at_value = _mm256_mul_ps(g, load_lanes(b + i * ldb + j, n - j));
                deliver(da + i * lda + j, n - j, _mm256_mul_ps(at_value, derivative(in, act)),
                        add_a);
            }
            if (db != NULL) {
                deliver(db + i * ldb + j, n - j, _mm256_mul_ps(g, activate(in, act)), add_b);
            }
        }
    }
}

#define EACH_ACTIVATION(CASE)                                                                      \
    CASE(MTF_ACT_NONE)                                                                             \
    CASE(MTF_ACT_GELU)                                                                             \
    CASE(MTF_ACT_GELU_NEW)                                                                         \
    CASE(MTF_ACT_RELU)                                                                             \
    CASE(MTF_ACT_TANH)                                                                             \
    CASE(MTF_ACT_SILU)                                                                             \
    CASE(MTF_ACT_QUICK_GELU)                                                                       \
    CASE(MTF_ACT_SIGMOID)                                                                          \
    CASE(MTF_ACT_RELU6)

void mtf_gated_fwd_f32_avx2(float *y, const float *a, int64_t lda, const float *b, int64_t ldb,
                            int64_t m, int64_t n, mtf_activation act)
{
    switch (act) {
#define CASE(which)                                                                                \
    case which:                                                                                    \
        forward_rows(y, a, lda, b, ldb, m, n, which);                                              \
        break;
        EACH_ACTIVATION(CASE)
#undef CASE
    }
}

void mtf_gated_bwd_f32_avx2(float *da, float *db, const float *dy, const float *a, int64_t lda,
                            const float *b, int64_t ldb, int64_t m, int64_t n, mtf_activation act,
                            int add_a, int add_b)
{
    switch (act) {
#define CASE(which)                                                                                \
    case which:                                                                                    \
        backward_rows(da, db, dy, a, lda, b, ldb, m, n, which, add_a, add_b);                      \
        break;
        EACH_ACTIVATION(CASE)
#undef CASE
    }
}
