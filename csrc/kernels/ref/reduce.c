/* Reference sums: columns of a matrix over its rows, and squares of a vector in double.
 *
 * column_sum adds rows in order, one running sum a column. sum_squares keeps REF_LANES sums in
 * double: the order depends on n alone. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

void mtf_column_sum_ref(mtf_real *sum, const mtf_real *dy, int64_t lddy, int64_t m, int64_t n,
                        int add)
{
    for (int64_t j = 0; j < n && !add; j++) {
        sum[j] = 0;
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            sum[j] += dy[i * lddy + j];
        }
    }
}

double mtf_sum_squares_ref(const mtf_real *x, int64_t n)
{
    double acc[REF_LANES] = {0};
    int64_t j = 0;
    for (; j + REF_LANES <= n; j += REF_LANES) {
        for (int l = 0; l < REF_LANES; l++) {
            acc[l] += (double)x[j + l] * (double)x[j + l];
        }
    }
    for (int l = 0; j + l < n; l++) {
        acc[l] += (double)x[j + l] * (double)x[j + l];
    }
    return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}
