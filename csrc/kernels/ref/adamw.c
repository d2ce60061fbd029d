/* Reference AdamW (Loshchilov, Hutter 2019), rounding where torch.optim.AdamW does:
 *
 *   p *= 1 - rate * decay;  m += (1 - b1) (g' - m);  v = b2 v + (1 - b2) g'^2
 *   p -= (rate / correction1) * m / (sqrt(v) / sqrt(correction2) + eps),  g' = grad_scale * g
 *
 * Coefficients are formed in double and rounded once. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/real.h"
#include "ref.h"

void mtf_adamw_ref(mtf_real *p, mtf_real *m, mtf_real *v, const mtf_real *g, int64_t n,
                   const mtf_adamw *options)
{
    const mtf_real shrink = (mtf_real)(1 - options->rate * options->decay);
    const mtf_real share1 = (mtf_real)(1 - options->beta1);
    const mtf_real beta2 = (mtf_real)options->beta2;
    const mtf_real share2 = (mtf_real)(1 - options->beta2);
    const mtf_real step = (mtf_real)(options->rate / options->correction1);
    const mtf_real root2 = (mtf_real)sqrt(options->correction2);
    const mtf_real eps = (mtf_real)options->eps;
    const mtf_real grad_scale = (mtf_real)options->grad_scale;
    for (int64_t j = 0; j < n; j++) {
        const mtf_real grad = grad_scale * g[j];
        m[j] = m[j] + share1 * (grad - m[j]);
        v[j] = v[j] * beta2 + share2 * grad * grad;
        const mtf_real spread = mtf_sqrt(v[j]) / root2 + eps;
        p[j] = p[j] * shrink - step * m[j] / spread;
    }
}
