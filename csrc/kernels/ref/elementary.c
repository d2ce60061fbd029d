/* Reference elementary functions over vectors, softmax by rows, and what a softmax of many labels is
 * made of.
 *
 *   softmax: y[j] = exp(x[j] - max) / sum of exp(x - max)
 *
 * A NaN in a row makes the whole row NaN. Precision: that of the C library; tolerance family:
 * elementwise. SPDX-License-Identifier: Apache-2.0 */
#include "../../base/real.h"
#include "ref.h"

void mtf_add_to_ref(mtf_real *y, const mtf_real *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] += x[j];
    }
}

void mtf_vector_exp_ref(mtf_real *y, const mtf_real *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] = mtf_exp(x[j]);
    }
}

void mtf_vector_erf_ref(mtf_real *y, const mtf_real *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] = mtf_erf(x[j]);
    }
}

void mtf_vector_tanh_ref(mtf_real *y, const mtf_real *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] = mtf_tanh(x[j]);
    }
}

void mtf_softmax_rows_ref(mtf_real *y, const mtf_real *x, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        const mtf_real *in = x + i * n;
        mtf_real *out = y + i * n;
        mtf_real largest = -(mtf_real)INFINITY;
        for (int64_t j = 0; j < n; j++) {
            largest = in[j] > largest ? in[j] : largest;
        }
        mtf_real total = 0;
        for (int64_t j = 0; j < n; j++) {
            out[j] = mtf_exp(in[j] - largest);
            total += out[j];
        }
        for (int64_t j = 0; j < n; j++) {
            out[j] /= total;
        }
    }
}

double mtf_exp_sum_ref(mtf_real *largest, const mtf_real *x, int64_t n)
{
    mtf_real top = x[0];
    for (int64_t j = 1; j < n; j++) {
        top = x[j] > top ? x[j] : top;
    }
    double acc[REF_LANES] = {0};
    for (int64_t j = 0; j < n; j++) {
        acc[j % REF_LANES] += (double)mtf_exp(x[j] - top);
    }
    *largest = top;
    return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}

void mtf_exp_add_ref(mtf_real *y, const mtf_real *x, mtf_real largest, mtf_real factor, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        y[j] += factor * mtf_exp(x[j] - largest);
    }
}
