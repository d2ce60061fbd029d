/* exp, erf and tanh of every level over all floats (target R13): exp within 2 ulp, erf and tanh
 * within 3e-7, special values exact. MTF_TEST_LONG=1 takes all 2^32 bit patterns (of the levels of
 * ours: the reference is the C library's); otherwise every 509th, from a random one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

#define CHUNK 4096

typedef void (*map_fn)(mtf_real *y, const mtf_real *x, int64_t n);
typedef double (*truth_fn)(double x);

/* Error of `got` in units of the last place of the float nearest to `want` (denormals count as such). */
static double ulp_error(float got, double want)
{
    const float near = (float)want;
    if (isinf(near) || isinf(got)) {
        return got == near ? 0 : HUGE_VAL;
    }
    const float size = fabsf(near) < 0x1p-126F ? 0x1p-126F : fabsf(near);
    int exponent;
    (void)frexpf(size, &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - 24);
}

static int is_wrong(float got, float x, double want, int in_ulp)
{
    if (isnan(x)) {
        return !isnan(got);
    }
    if (x == 0 || isinf(x)) {
        return got != (float)want || !signbit(got) != !signbit(want);
    }
    /* sign and bounds hold everywhere */
    if (!in_ulp && (!signbit(got) != !signbit(x) || fabsf(got) > 1)) {
        return 1;
    }
    return in_ulp ? !(ulp_error(got, want) <= TOLERANCE_EXP_ULP)
                  : !(fabs((double)got - want) <= TOLERANCE_ERF);
}

static void sweep(map_fn map, truth_fn truth, int in_ulp, const char *name)
{
    static float x[CHUNK];
    static float y[CHUNK];
    const int is_long = getenv("MTF_TEST_LONG") != NULL;
    const uint64_t stride = is_long ? 1 : 509;
    uint64_t bits = is_long ? 0 : test_random() % stride;
    double worst = 0;
    int64_t n_wrong = 0;
    while (bits >> 32 == 0) {
        int n = 0;
        for (; n < CHUNK && bits >> 32 == 0; n++, bits += stride) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[n], &pattern, sizeof pattern);
        }
        map(y, x, n);
        for (int i = 0; i < n; i++) {
            const double want = truth((double)x[i]);
            if (is_wrong(y[i], x[i], want, in_ulp)) {
                if (n_wrong++ == 0) {
                    fprintf(stderr, "    %s(%a) = %a, expected %a\n", name, (double)x[i],
                            (double)y[i], want);
                }
            } else if (!isnan(x[i]) && isfinite(want) && isfinite(y[i])) {
                const double error = in_ulp ? ulp_error(y[i], want) : fabs((double)y[i] - want);
                worst = error > worst ? error : worst;
            }
        }
    }
    printf("    %s: worst error %.3g%s\n", name, worst, in_ulp ? " ulp" : "");
    CHECK_INT(n_wrong, 0);
}

/* Bits that no stride may miss. */
static void check_special(const mtf_kernels *t)
{
    const float x[] = {0.0F,     -0.0F,     INFINITY,  -INFINITY, NAN,        88.7228394F,
                       88.7229F, -87.3365F, -103.972F, -103.973F, 1e-45F,     -1e-45F,
                       3.4e38F,  -3.4e38F,  0x1p-126F, 0.927734F, 0.9277345F, 0.625F};
    enum { N = sizeof x / sizeof *x };
    const map_fn maps[] = {t->vector_exp, t->vector_erf, t->vector_tanh};
    const truth_fn truths[] = {exp, erf, tanh};
    float y[N];
    for (int f = 0; f < 3; f++) {
        maps[f](y, x, N);
        for (int i = 0; i < N; i++) {
            if (!CHECK(!is_wrong(y[i], x[i], truths[f]((double)x[i]), f == 0))) {
                fprintf(stderr, "    %s of %a gives %a\n",
                        f == 0   ? "exp"
                        : f == 1 ? "erf"
                                 : "tanh",
                        (double)x[i], (double)y[i]);
            }
        }
    }
}

MTF_TEST(elementary_functions_over_all_floats)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const int first = getenv("MTF_TEST_LONG") != NULL;
    for (int l = first; l < n_levels; l++) {
        printf("  level %s\n", tables[l].isa);
        check_special(&tables[l]);
        sweep(tables[l].vector_exp, exp, 1, "exp");
        sweep(tables[l].vector_erf, erf, 0, "erf");
        sweep(tables[l].vector_tanh, tanh, 0, "tanh");
    }
}

MTF_TEST(vectors_end_where_they_end)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        const map_fn maps[] = {tables[l].vector_exp, tables[l].vector_erf, tables[l].vector_tanh};
        for (int f = 0; f < 3; f++) {
            for (int s = 0; s < N_TEST_SIZES; s++) {
                buffer x = buffer_random(test_sizes[s], 1, -3.0, 3.0);
                buffer y = buffer_new(test_sizes[s], 3);
                maps[f](y.data, x.data, test_sizes[s]);
                for (int64_t j = 0; j < test_sizes[s]; j++) {
                    mtf_real alone = x.data[j];
                    maps[f](&alone, &alone, 1);
                    CHECK_BITS(&alone, &y.data[j], sizeof alone);
                }
                buffer_free(x), buffer_free(y);
            }
        }
    }
}

#if MTF_WITH_AVX2
extern const int mtf_avx2_compiled_activation, mtf_avx2_compiled_adamw, mtf_avx2_compiled_attention,
    mtf_avx2_compiled_attention_bwd, mtf_avx2_compiled_dropout, mtf_avx2_compiled_elementary,
    mtf_avx2_compiled_gemm, mtf_avx2_compiled_layernorm, mtf_avx2_compiled_reduce;

MTF_TEST(files_were_compiled_with_their_flags)
{
    CHECK(mtf_avx2_compiled_activation && mtf_avx2_compiled_adamw && mtf_avx2_compiled_attention);
    CHECK(mtf_avx2_compiled_attention_bwd && mtf_avx2_compiled_dropout);
    CHECK(mtf_avx2_compiled_elementary && mtf_avx2_compiled_gemm);
    CHECK(mtf_avx2_compiled_layernorm && mtf_avx2_compiled_reduce);
}
#endif
