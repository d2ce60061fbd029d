/* Copy of runs of bytes, a cache line at a time: runs of a few pixels are over before memcpy has begun.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"

AVX512_COMPILED(copy_runs)

enum { LINE = 64 };

void mtf_copy_runs_f32_avx512(char *to, const char *from, int64_t step, int64_t n, int64_t run)
{
    const int64_t whole = run / LINE * LINE;
    const __mmask64 rest = (UINT64_C(1) << (run - whole)) - 1;
    for (int64_t i = 0; i < n; i++, to += run, from += step) {
        for (int64_t j = 0; j < whole; j += LINE) {
            _mm512_storeu_si512(to + j, _mm512_loadu_si512(from + j));
        }
        if (rest != 0) {
            _mm512_mask_storeu_epi8(to + whole, rest, _mm512_maskz_loadu_epi8(rest, from + whole));
        }
    }
}
