/* The loss of sets of boxes: against all ways of matching, pictures without boxes and without a target,
 * gradients against differences, parts of a step, values of each picture, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "loss_laws.h"

enum { LABELS = 3, WIDTH = LABELS + 1 + 4, PARTS = 2, N = PARTS * WIDTH };
enum { Q = 4, PICTURES = 4, M = Q * PICTURES, T = 5, WORK = 4096 };

/* Three boxes, none, no target, as many as queries. Row numbers begin at 5. */
static const int64_t offsets[PICTURES + 1] = {5, 9, 13, 17, 21};
static const int boxes_of[PICTURES] = {3, 0, -1, Q};

typedef struct set_case {
    mtf_real y[M * N], targets[M * T];
    double *work; /* (WORK) */
    mtf_loss_counts counts;
    mtf_loss_rows rows;
} set_case;

static void begin(set_case *c)
{
    for (int i = 0; i < M * N; i++) {
        const int is_box = i % WIDTH > LABELS;
        c->y[i] = (mtf_real)(is_box ? test_uniform(0.1, 0.9) : test_uniform(-2, 2));
    }
    for (int s = 0; s < PICTURES; s++) {
        for (int i = 0; i < Q; i++) {
            mtf_real *t = c->targets + (s * Q + i) * T;
            test_fill(t, T, 0.1, 0.9);
            t[0] = (mtf_real)(boxes_of[s] < 0   ? NAN
                              : i < boxes_of[s] ? (double)test_integer(0, LABELS - 1)
                                                : -1);
        }
    }
    c->work = malloc(WORK * sizeof *c->work);
    c->rows = (mtf_loss_rows){.y = c->y,
                              .targets = c->targets,
                              .m = M,
                              .n = N,
                              .parts = PARTS,
                              .offsets = offsets,
                              .n_sequences = PICTURES,
                              .settings = &MTF_LOSS_DEFAULTS};
    CHECK(loss_named("set")->check("found", &c->rows, &c->counts, NULL) == MTF_OK);
    CHECK(loss_named("set")->work(&c->rows) <= WORK);
    c->rows.counts = &c->counts;
    c->rows.work = c->work;
}

static double overlap(double a, double wa, double b, double wb)
{
    return fmax(0, fmin(a + wa / 2, b + wb / 2) - fmax(a - wa / 2, b - wb / 2));
}

static double span(double a, double wa, double b, double wb)
{
    return fmax(a + wa / 2, b + wb / 2) - fmin(a - wa / 2, b - wb / 2);
}

static double giou(const mtf_real *a, const mtf_real *b)
{
    const double ax = a[0], ay = a[1], aw = a[2], ah = a[3];
    const double bx = b[0], by = b[1], bw = b[2], bh = b[3];
    const double shared = overlap(ax, aw, bx, bw) * overlap(ay, ah, by, bh);
    const double either = aw * ah + bw * bh - shared;
    const double around = span(ax, aw, bx, bw) * span(ay, ah, by, bh);
    return shared / either - (around - either) / around;
}

static double l1(const mtf_real *a, const mtf_real *b)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += fabs((double)a[i] - (double)b[i]);
    }
    return sum;
}

static double log_p(const mtf_real *z, int label)
{
    double sum = 0;
    for (int j = 0; j <= LABELS; j++) {
        sum += exp((double)z[j]);
    }
    return (double)z[label] - log(sum);
}

/* One way of matching: row `of[b]` for box b. */
typedef struct way {
    int of[Q];
    double cost;
} way;

static void try_ways(const set_case *c, int s, int part, int b, way *now, way *best)
{
    if (b >= boxes_of[s] || b >= Q) {
        if (now->cost < best->cost) {
            *best = *now;
        }
        return;
    }
    const mtf_real *t = c->targets + (s * Q + b) * T;
    for (int i = 0; i < Q; i++) {
        int taken = 0;
        for (int other = 0; other < b; other++) {
            taken |= now->of[other] == i;
        }
        if (!taken) {
            const mtf_real *y = c->y + (s * Q + i) * N + part * WIDTH;
            const double held = now->cost;
            now->cost += -exp(log_p(y, (int)t[0])) + 5 * l1(y + LABELS + 1, t + 1) -
                         2 * giou(y + LABELS + 1, t + 1);
            now->of[b] = i;
            try_ways(c, s, part, b + 1, now, best);
            now->cost = held;
        }
    }
}

/* Sums over the rows and the boxes of one answer. */
static void by_hand(const set_case *c, int s, int part, double *of_labels, double *of_boxes)
{
    way now = {.cost = 0}, best = {.cost = INFINITY};
    try_ways(c, s, part, 0, &now, &best);
    for (int i = 0; i < Q; i++) {
        const mtf_real *y = c->y + (s * Q + i) * N + part * WIDTH;
        int box = -1;
        for (int b = 0; b < boxes_of[s]; b++) {
            box = best.of[b] == i ? b : box;
        }
        if (box < 0) {
            *of_labels -= 0.1 * log_p(y, LABELS);
        } else {
            const mtf_real *t = c->targets + (s * Q + box) * T;
            *of_labels -= log_p(y, (int)t[0]);
            *of_boxes += 5 * l1(y + LABELS + 1, t + 1) + 2 * (1 - giou(y + LABELS + 1, t + 1));
        }
    }
}

MTF_TEST(value_is_that_of_the_best_of_all_ways)
{
    for (int round = 0; round < 50; round++) {
        set_case c;
        double of_labels = 0, of_boxes = 0;
        begin(&c);
        for (int s = 0; s < PICTURES; s++) {
            for (int part = 0; part < PARTS && boxes_of[s] >= 0; part++) {
                by_hand(&c, s, part, &of_labels, &of_boxes);
            }
        }
        CHECK_INT(c.counts.n_labelled, 3 * Q);
        CHECK(c.counts.divisor == 3 * Q);
        CHECK_CLOSE(c.counts.totals[0], 7 + 0.1 * 5, 1e-12); /* weights: 7 boxes, 5 rows without */
        CHECK(c.counts.totals[1] == 7);
        const double mean = of_labels / 7.5 + of_boxes / 7;
        CHECK_CLOSE(loss_named("set")->value_and_gradient(&c.rows), 3 * Q * mean, 1e-9);
        free(c.work);
    }
}

#ifdef MTF_REAL_DOUBLE
MTF_TEST(gradient_is_the_difference_quotient)
{
    for (uint64_t round = 0; round < 3; round++) {
        set_case c;
        test_now.random = round; /* in which no corner lies within a step */
        begin(&c);
        loss_check_gradient_within(loss_named("set"), c.rows, c.y,
                                   1e-7); /* small boxes bend fast */
        free(c.work);
    }
}
#endif

/* Boxes that equal their targets: no distance is left, and no derivative tears them apart. */
MTF_TEST(boxes_that_are_right_have_no_gradient)
{
    set_case c;
    mtf_real dy[M * N] = {0};
    begin(&c);
    for (int row = 0; row < M; row++) {
        for (int part = 0; part < PARTS; part++) {
            memcpy(c.y + row * N + part * WIDTH + LABELS + 1, c.targets + row * T + 1,
                   4 * sizeof *c.y);
        }
    }
    c.rows.dy = dy;
    c.rows.scale = 1;
    CHECK(isfinite(loss_named("set")->value_and_gradient(&c.rows)));
    for (int i = 0; i < M * N; i++) {
        if (i % WIDTH > LABELS) {
            CHECK_CLOSE(dy[i], 0, LOSS_CLOSE);
        }
    }
    free(c.work);
}

MTF_TEST(parts_of_a_step_add_up)
{
    static mtf_real whole[M * N], pieces[M * N];
    set_case c;
    begin(&c);
    memset(whole, 0, sizeof whole);
    memset(pieces, 0, sizeof pieces);
    c.rows.dy = whole;
    c.rows.scale = (mtf_real)0.25;
    const double value = loss_named("set")->value_and_gradient(&c.rows);
    double sum = 0;
    for (int s = 0; s < PICTURES; s++) {
        mtf_loss_rows one = c.rows;
        one.m = Q;
        one.n_sequences = 1;
        one.offsets = offsets + s;
        one.y = c.y + s * Q * N;
        one.targets = c.targets + s * Q * T;
        one.dy = pieces + s * Q * N;
        sum += loss_named("set")->value_and_gradient(&one);
    }
    CHECK_CLOSE(sum, value, 1e-12 * fabs(value));
    CHECK_BITS(pieces, whole, sizeof whole);
    for (int i = 2 * Q * N; i < 3 * Q * N; i++) {
        CHECK(whole[i] == 0); /* no target */
    }
    free(c.work);
}

MTF_TEST(values_are_those_of_each_picture_as_a_step)
{
    set_case c;
    int64_t from_zero[PICTURES + 1];
    double values[PICTURES];
    begin(&c);
    for (int s = 0; s <= PICTURES; s++) {
        from_zero[s] = offsets[s] - offsets[0];
    }
    const mtf_loss loss = {
        .output = "found", .kind = "set", .type = MTF_TARGET_ROWS, .targets = c.targets};
    mtf_error err = {0};
    CHECK(mtf_loss_values(&loss, c.y, M, N, PARTS, from_zero, PICTURES, values, &err) == MTF_OK);
    for (int s = 0; s < PICTURES; s++) {
        double of_labels = 0, of_boxes = 0;
        for (int part = 0; part < PARTS && boxes_of[s] >= 0; part++) {
            by_hand(&c, s, part, &of_labels, &of_boxes);
        }
        const double boxes = boxes_of[s];
        CHECK(boxes >= 0 ? 1 : isnan(values[s]));
        if (boxes >= 0) {
            CHECK_CLOSE(values[s],
                        of_labels / (boxes + 0.1 * (Q - boxes)) + of_boxes / fmax(1, boxes), 1e-9);
        }
    }
    from_zero[1] = 99;
    CHECK(mtf_loss_values(&loss, c.y, M, N, PARTS, from_zero, PICTURES, values, &err) ==
          MTF_ERR_VALUE);
    free(c.work);
}

MTF_TEST(what_is_not_finite_gives_no_number)
{
    set_case c;
    mtf_real dy[M * N] = {0};
    begin(&c);
    c.rows.dy = dy;
    c.y[LABELS + 1] = (mtf_real)NAN;
    CHECK(!isfinite(loss_named("set")->value_and_gradient(&c.rows)));
    c.y[LABELS + 1] = (mtf_real)0.5;
    CHECK(isfinite(loss_named("set")->value_and_gradient(&c.rows)));
    c.y[Q * N] = (mtf_real)INFINITY; /* a picture without boxes */
    CHECK(!isfinite(loss_named("set")->value_and_gradient(&c.rows)));
    free(c.work);
}

/* The message about targets whose value number `at` is another. */
static const char *refusal(int at, double value)
{
    static mtf_error err;
    mtf_loss_counts counts;
    set_case c;
    test_now.random = 3;
    begin(&c);
    c.targets[at] = (mtf_real)value;
    err = (mtf_error){0};
    CHECK(loss_named("set")->check("found", &c.rows, &counts, &err) == MTF_ERR_VALUE);
    free(c.work);
    return err.text;
}

MTF_TEST(targets_and_columns_are_checked)
{
    CHECK_TEXT(refusal(T, 3),
               "label 3 at row 1 of \"found\": expected 0..2, in the first rows of a "
               "picture, -1 in those behind them, or NaN in all rows of one without "
               "a target");
    CHECK(strstr(refusal(T, 0.5), "label 0.5 at row 1") != NULL);
    CHECK(strstr(refusal(T, NAN), "label nan at row 1") != NULL);
    CHECK(strstr(refusal(T, -1), "box at row 2 of \"found\" behind a row without one") != NULL);
    CHECK(strstr(refusal(0, NAN), "at row 1 of \"found\": expected NaN in all rows") != NULL);
    CHECK(strstr(refusal(T + 1, 1.5), "box (1.5, ") != NULL);
    CHECK(strstr(refusal(T + 3, 0), "at row 1 of \"found\": expected its centre") != NULL);
    CHECK(strstr(refusal(T + 4, NAN), "nan) at row 1 of \"found\": expected its centre") != NULL);
    set_case c;
    mtf_error err = {0};
    begin(&c);
    c.rows.n = 5;
    c.rows.parts = 1;
    CHECK(loss_named("set")->check("found", &c.rows, &c.counts, &err) == MTF_ERR_VALUE);
    CHECK_TEXT(err.text, "the loss \"set\" takes an output whose rows are logits of labels and of "
                         "none, then a box, 6 columns or more, such as a detection head gives; "
                         "found \"found\" with 5 columns");
    free(c.work);
}
