/* exp, erf, tanh and GELU of every level over all floats (target R13): exp within 2 ulp, erf and tanh
 * within 3e-7, GELU and its slope within the tolerance of theirs, special values exact.
 * MTF_TEST_LONG=1 takes all 2^32 bit patterns (of the levels of ours: the reference is the C
 * library's); otherwise every 509th, from a random one. A function that a level has from the one
 * below is not taken again.
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

/* How an error is measured: in units of the last place; as it is, of a function that has its
 * argument's sign and stays within 1; over the size of x; as it is. */
typedef enum measure { IN_ULP, ABSOLUTE, OVER_SIZE, OF_SLOPE } measure;

static double error_of(float got, float x, double want, measure by)
{
    const double difference = fabs((double)got - want);
    switch (by) {
    case IN_ULP:
        return ulp_error(got, want);
    case OVER_SIZE:
        return difference / (1 + fabs((double)x));
    case ABSOLUTE:
    case OF_SLOPE:
        break;
    }
    return difference;
}

static int is_wrong(float got, float x, double want, measure by)
{
    static const double tolerances[] = {TOLERANCE_EXP_ULP, TOLERANCE_ERF, TOLERANCE_GELU,
                                        2 * TOLERANCE_GELU};
    if (isnan(x)) {
        return !isnan(got);
    }
    if (by >= OVER_SIZE && isinf(x)) {
        return got != (float)want;
    }
    if (x == 0 || isinf(x)) {
        return got != (float)want || !signbit(got) != !signbit(want);
    }
    /* sign and bounds hold everywhere */
    if (by == ABSOLUTE && (!signbit(got) != !signbit(x) || fabsf(got) > 1)) {
        return 1;
    }
    return !(error_of(got, x, want, by) <= tolerances[by]);
}

static void sweep(map_fn map, truth_fn truth, measure by, const char *name)
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
            if (is_wrong(y[i], x[i], want, by)) {
                if (n_wrong++ == 0) {
                    fprintf(stderr, "    %s(%a) = %a, expected %a\n", name, (double)x[i],
                            (double)y[i], want);
                }
            } else if (!isnan(x[i]) && isfinite(want) && isfinite(y[i])) {
                const double error = error_of(y[i], x[i], want, by);
                worst = error > worst ? error : worst;
            }
        }
    }
    static const char *const units[] = {" ulp", "", " (1 + |x|)", ""};
    printf("    %s: worst error %.3g%s\n", name, worst, units[by]);
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
            if (!CHECK(
                    !is_wrong(y[i], x[i], truths[f]((double)x[i]), f == 0 ? IN_ULP : ABSOLUTE))) {
                fprintf(stderr, "    %s of %a gives %a\n",
                        f == 0   ? "exp"
                        : f == 1 ? "erf"
                                 : "tanh",
                        (double)x[i], (double)y[i]);
            }
        }
    }
}

static const mtf_kernels *swept; /* whose GELU the next two call */

static void map_gelu(mtf_real *y, const mtf_real *x, int64_t n)
{
    memcpy(y, x, (size_t)n * sizeof *y);
    swept->bias_act_fwd(y, NULL, NULL, 1, n, MTF_ACT_GELU);
}

static void map_gelu_slope(mtf_real *y, const mtf_real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = 1;
    }
    swept->act_bwd(y, y, x, n, MTF_ACT_GELU);
}

static double true_gelu(double x)
{
    return x == -HUGE_VAL ? 0 : 0.5 * x * erfc(-x / sqrt(2.0));
}

static double true_gelu_slope(double x)
{
    const double bell = isinf(x) ? 0 : x * exp(-0.5 * x * x) / sqrt(2 * 3.14159265358979324);
    return 0.5 * erfc(-x / sqrt(2.0)) + bell;
}

MTF_TEST(elementary_functions_over_all_floats)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    const int first = getenv("MTF_TEST_LONG") != NULL;
    for (int l = first; l < n_levels; l++) {
        if (l > 0 && tables[l].vector_exp == tables[l - 1].vector_exp) {
            continue;
        }
        printf("  level %s\n", tables[l].isa);
        check_special(&tables[l]);
        sweep(tables[l].vector_exp, exp, IN_ULP, "exp");
        sweep(tables[l].vector_erf, erf, ABSOLUTE, "erf");
        sweep(tables[l].vector_tanh, tanh, ABSOLUTE, "tanh");
    }
}

/* The reference is the formula with the C library's erf, whose limits are not a number. */
MTF_TEST(gelu_over_all_floats)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 1; l < n_levels; l++) {
        if (tables[l].bias_act_fwd == tables[l - 1].bias_act_fwd) {
            continue;
        }
        printf("  level %s\n", tables[l].isa);
        swept = &tables[l];
        sweep(map_gelu, true_gelu, OVER_SIZE, "gelu");
        sweep(map_gelu_slope, true_gelu_slope, OF_SLOPE, "its slope");
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

#if MTF_WITH_AVX512
extern const int mtf_avx512_compiled_activation, mtf_avx512_compiled_attention,
    mtf_avx512_compiled_attention_bwd, mtf_avx512_compiled_dropout, mtf_avx512_compiled_elementary,
    mtf_avx512_compiled_layernorm;

MTF_TEST(wider_files_were_compiled_with_their_flags)
{
    CHECK(mtf_avx512_compiled_activation && mtf_avx512_compiled_attention);
    CHECK(mtf_avx512_compiled_attention_bwd && mtf_avx512_compiled_dropout);
    CHECK(mtf_avx512_compiled_elementary && mtf_avx512_compiled_layernorm);
}
#endif
