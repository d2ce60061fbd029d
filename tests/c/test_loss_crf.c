/* The chain's loss: against the sum over all ways of labelling, passed-over rows, gradients against
 * differences, extremes, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "loss_laws.h"

enum { K = 3, N = K * K + 2 * K, M = 9, SEQUENCES = 4 };

/* Four words, one passed over; two words; none labelled; one word. Row numbers begin at 5. */
static const int64_t offsets[SEQUENCES + 1] = {5, 9, 11, 12, 14};
static const int32_t labels[M] = {
    1, MTF_IGNORE_LABEL, 0, 2, 2, 2, MTF_IGNORE_LABEL, MTF_IGNORE_LABEL, 1};

static mtf_loss_rows fill(mtf_real *y, double *work)
{
    test_fill(y, M * N, -2.0, 2.0);
    return (mtf_loss_rows){.y = y,
                           .targets = labels,
                           .m = M,
                           .n = N,
                           .offsets = offsets,
                           .n_sequences = SEQUENCES,
                           .settings = &MTF_LOSS_DEFAULTS,
                           .work = work};
}

/* The score of labels of the words at `rows` (n). */
static double score(const mtf_real *y, const int *rows, int n, const int *of)
{
    double sum = (double)y[rows[0] * N + K * K + of[0]];
    for (int t = 1; t < n; t++) {
        sum += (double)y[rows[t] * N + of[t - 1] * K + of[t]];
    }
    return sum + (double)y[rows[n - 1] * N + K * K + K + of[n - 1]];
}

/* -log of the share of the labels among all ways, of one sequence. */
static double by_hand(const mtf_real *y, int s)
{
    int rows[M], right[M], n = 0, n_ways = 1;
    for (int r = (int)offsets[s] - 5; r < offsets[s + 1] - 5; r++) {
        if (labels[r] != MTF_IGNORE_LABEL) {
            rows[n] = r;
            right[n++] = labels[r];
            n_ways *= K;
        }
    }
    double total = 0;
    for (int way = 0; n > 0 && way < n_ways; way++) {
        int of[M], rest = way;
        for (int t = 0; t < n; t++) {
            of[t] = rest % K;
            rest /= K;
        }
        total += exp(score(y, rows, n, of));
    }
    return n > 0 ? log(total) - score(y, rows, n, right) : 0;
}

MTF_TEST(value_is_that_of_all_ways_and_the_gradient_its_difference_quotient)
{
    const mtf_loss_kind *kind = loss_named("crf");
    mtf_real y[M * N];
    double work[(M + 2) * K], want = 0;
    const mtf_loss_rows rows = fill(y, work);
    CHECK_INT((int64_t)kind->work(&rows), (M + 2) * K);
    for (int s = 0; s < SEQUENCES; s++) {
        want += by_hand(y, s);
    }
    CHECK_CLOSE(kind->value_and_gradient(&rows), want, 1e-9);
    loss_check_gradient(kind, rows, y);
}

MTF_TEST(large_scores_do_not_overflow)
{
    static const int64_t one[] = {0, 2};
    static const int32_t words[] = {0, 1};
    mtf_real y[2 * 8], dy[2 * 8] = {0}; /* two labels */
    double work[4 * 2];
    for (int i = 0; i < 16; i++) {
        y[i] = (mtf_real)(i % 2 ? 20000 : -20000);
    }
    const mtf_loss_rows rows = {.dy = dy,
                                .y = y,
                                .targets = words,
                                .m = 2,
                                .n = 8,
                                .offsets = one,
                                .n_sequences = 1,
                                .scale = 1,
                                .settings = &MTF_LOSS_DEFAULTS,
                                .work = work};
    CHECK_CLOSE(loss_named("crf")->value_and_gradient(&rows), 40000.0, 1e-6);
    for (int i = 0; i < 16; i++) {
        CHECK(isfinite(dy[i]));
    }
    y[1] = (mtf_real)NAN; /* never read: only the first row begins, and nothing precedes it */
    CHECK(isfinite(loss_named("crf")->value_and_gradient(&rows)));
    y[8] = (mtf_real)NAN;
    CHECK(!isfinite(loss_named("crf")->value_and_gradient(&rows)));
}

MTF_TEST(targets_and_columns_are_checked_and_counted)
{
    const mtf_loss_kind *kind = loss_named("crf");
    mtf_real y[M * N];
    mtf_loss_rows rows = fill(y, NULL);
    mtf_loss_counts counts;
    mtf_error err = {0};
    CHECK(kind->check("ner", &rows, &counts, &err) == MTF_OK);
    CHECK_INT(counts.n_labelled, 6);
    CHECK(counts.divisor == 6);
    static const int32_t three[M] = {0, 0, 3, 0, 0, 0, 0, 0, 0};
    rows.targets = three;
    CHECK(kind->check("ner", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "label 3 at row 2 of \"ner\": expected 0..2, or -100 for no label");
    rows.n = 16;
    CHECK(kind->check("ner", &rows, &counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "the loss \"crf\" takes an output of K*K + 2K columns for K labels; found "
                         "\"ner\" with 16");
}
