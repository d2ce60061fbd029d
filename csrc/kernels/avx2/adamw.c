/* AdamW, eight values at a time; the formula and its roundings are those of ref/adamw.c.
 *
 * Precision: no fused operations, true division and square root: bit-equal to the reference.
 * Bound by memory: four reads and three writes a value.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

#include <math.h>

AVX2_COMPILED(adamw)

typedef struct rounded {
    __m256 shrink, share1, beta2, share2, step, root2, eps, grad_scale;
} rounded;

static inline __m256 update(const rounded *o, __m256 p, __m256 *m, __m256 *v, __m256 g)
{
    const __m256 grad = _mm256_mul_ps(o->grad_scale, g);
    *m = _mm256_add_ps(*m, _mm256_mul_ps(o->share1, _mm256_sub_ps(grad, *m)));
    *v = _mm256_add_ps(_mm256_mul_ps(*v, o->beta2),
                       _mm256_mul_ps(_mm256_mul_ps(o->share2, grad), grad));
    const __m256 spread = _mm256_add_ps(_mm256_div_ps(_mm256_sqrt_ps(*v), o->root2), o->eps);
    return _mm256_sub_ps(_mm256_mul_ps(p, o->shrink),
                         _mm256_div_ps(_mm256_mul_ps(o->step, *m), spread));
}

void mtf_adamw_f32_avx2(float *p, float *m, float *v, const float *g, int64_t n,
                        const mtf_adamw *options)
{
    const rounded o = {
        _mm256_set1_ps((float)(1 - options->rate * options->decay)),
        _mm256_set1_ps((float)(1 - options->beta1)),
        _mm256_set1_ps((float)options->beta2),
        _mm256_set1_ps((float)(1 - options->beta2)),
        _mm256_set1_ps((float)(options->rate / options->correction1)),
        _mm256_set1_ps((float)sqrt(options->correction2)),
        _mm256_set1_ps((float)options->eps),
        _mm256_set1_ps((float)options->grad_scale),
    };
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 mj = _mm256_loadu_ps(m + j);
        __m256 vj = _mm256_loadu_ps(v + j);
        __m256 pj = update(&o, _mm256_loadu_ps(p + j), &mj, &vj, _mm256_loadu_ps(g + j));
        _mm256_storeu_ps(m + j, mj);
        _mm256_storeu_ps(v + j, vj);
        _mm256_storeu_ps(p + j, pj);
    }
    if (j < n) {
        const __m256i tail = first_lanes(n - j);
        __m256 mj = _mm256_maskload_ps(m + j, tail);
        __m256 vj = _mm256_maskload_ps(v + j, tail);
        __m256 pj =
            update(&o, _mm256_maskload_ps(p + j, tail), &mj, &vj, _mm256_maskload_ps(g + j, tail));
        _mm256_maskstore_ps(m + j, tail, mj);
        _mm256_maskstore_ps(v + j, tail, vj);
        _mm256_maskstore_ps(p + j, tail, pj);
    }
}
