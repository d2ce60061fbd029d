/* Ending calls early: wherever a call is stopped, it says so, weights and state are as before it, and what
 * comes later has the bits of a run that nobody stopped. Updates that have begun are finished. The number
 * of threads that is changed in the middle of a call moves nothing in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bert.h"

#include <pthread.h>

#define STEPS      3
#define MOST       40000 /* values of a model with its moments */
#define MANY       400   /* sequences: work enough for several threads */
#define WIDE_WIDTH 256   /* weights of 256 x 256 values have packed forms */

/* Says "stop" at the question number `at`, from 0; negative: never. `meanwhile` is called at each. */
typedef struct questions {
    int at, n;
    void (*meanwhile)(int number);
} questions;

static int answer(void *context)
{
    questions *q = context;
    if (q->meanwhile != NULL) {
        q->meanwhile(q->n);
    }
    return q->n++ == q->at;
}

static void watch(questions *q, int at)
{
    *q = (questions){.at = at};
    mtf_stop_watch(answer, q, 0);
}

static void watch_no_more(void)
{
    mtf_stop_watch(NULL, NULL, 0);
}

static mtf_model *fresh(double dropout)
{
    test_now.random = 5; /* the same weights each time */
    return tiny_model(dropout, "mean");
}

static size_t state_of(const mtf_model *model, mtf_real *to)
{
    const size_t n = tiny_state(model, to);
    CHECK(n <= MOST);
    return n;
}

static mtf_status step(mtf_model *model, uint64_t number, mtf_error *err)
{
    double means[2];
    double rates[128], decays[128];
    for (int i = 0; i < 128; i++) {
        rates[i] = 1e-2;
        decays[i] = 0.1;
    }
    const mtf_update update = {rates, decays, 0.9, 0.999, 1e-8, 1.0};
    mtf_update_result result;
    const mtf_status status = tiny_gradients(model, 8, number, 1, means, err);
    return status == MTF_OK ? mtf_train_apply(model, &update, &result, err) : status;
}

/* Stopped at its first question, its second ..., until it comes to its end. */
static void stop_a_step_everywhere(void)
{
    static mtf_real after[STEPS][MOST], found[MOST];
    size_t n[STEPS];
    mtf_error err = {0};
    mtf_model *model = fresh(0.3);
    for (int s = 0; s < STEPS; s++) {
        CHECK(step(model, (uint64_t)s, &err) == MTF_OK);
        n[s] = state_of(model, after[s]);
    }
    mtf_model_free(model);
    mtf_status status = MTF_INTERRUPTED;
    int at = 0;
    for (; status == MTF_INTERRUPTED; at++) {
        questions q;
        model = fresh(0.3);
        CHECK(step(model, 0, &err) == MTF_OK);
        watch(&q, at);
        err = (mtf_error){0};
        status = step(model, 1, &err);
        watch_no_more();
        if (status == MTF_INTERRUPTED) {
            CHECK_INT(err.code, MTF_INTERRUPTED);
            CHECK(err.text[0] != 0);
            CHECK_INT(q.n, at + 1); /* nobody is asked once he wants no more */
            CHECK_INT(state_of(model, found), n[0]);
            CHECK_BITS(after[0], found, n[0] * sizeof *found);
            CHECK(step(model, 1, &err) == MTF_OK);
        }
        CHECK_INT(state_of(model, found), n[1]);
        CHECK_BITS(after[1], found, n[1] * sizeof *found);
        CHECK(step(model, 2, &err) == MTF_OK);
        CHECK_INT(state_of(model, found), n[2]);
        CHECK_BITS(after[2], found, n[2] * sizeof *found);
        mtf_model_free(model);
    }
    CHECK(status == MTF_OK);
    CHECK(at > (mtf_threads_get() == 1 ? 100 : 10)); /* workers take questions with their items */
}

MTF_TEST(a_stopped_step_has_not_been)
{
    const int threads = mtf_threads_get();
    mtf_error err = {0};
    CHECK(mtf_threads_set(1, &err) == MTF_OK);
    stop_a_step_everywhere();
    CHECK(mtf_threads_set(3, &err) == MTF_OK);
    stop_a_step_everywhere();
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}

/* A forward and its backward by hand. */
MTF_TEST(a_stopped_forward_or_backward_ends_its_step)
{
    static mtf_real ones[16 * TINY_WIDTH];
    static const char *const pooled[] = {"pooled"};
    const mtf_injection injection = {"pooled", ones};
    const mtf_train_options options = {0};
    mtf_error err = {0};
    tiny_batch b;
    questions q;
    mtf_model *model = fresh(0);
    for (int backward = 0; backward < 2; backward++) {
        CHECK(mtf_train_begin(model, &options, &err) == MTF_OK);
        watch(&q, backward ? -1 : 3);
        mtf_status status =
            mtf_train_forward(model, tiny_get_batch(&b, TINY_SEQUENCES), 0, 1, pooled, NULL, &err);
        CHECK_INT(status, backward ? MTF_OK : MTF_INTERRUPTED);
        watch(&q, 3);
        status = mtf_train_backward(model, 0, NULL, NULL, NULL, 1, &injection, &err);
        CHECK_INT(status, backward ? MTF_INTERRUPTED : MTF_ERR_STATE);
        watch_no_more();
        CHECK(mtf_train_forward(model, &b.batch, 0, 1, pooled, NULL, &err) == MTF_ERR_STATE);
    }
    mtf_model_free(model);
}

/* ---- inference, with packed forms of weights ----------------------------------------------------- */

static mtf_model *wide_model(void)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    mtf_config *c = tiny_config(0, "mean");
    CHECK(mtf_config_set_int(c, "hidden_size", WIDE_WIDTH) == MTF_OK);
    CHECK(mtf_config_set_int(c, "num_hidden_layers", 1) == MTF_OK);
    CHECK(mtf_config_set_int(c, "num_attention_heads", 4) == MTF_OK);
    CHECK(mtf_config_set_int(c, "intermediate_size", WIDE_WIDTH) == MTF_OK);
    CHECK(mtf_model_new(c, &model, &err) == MTF_OK);
    mtf_config_free(c);
    static mtf_real values[WIDE_WIDTH * WIDE_WIDTH];
    test_now.random = 6;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        test_fill(values, (size_t)info.size, -0.5, 0.5);
        CHECK(mtf_model_set_param(model, i, values, (size_t)info.size, &err) == MTF_OK);
    }
    return model;
}

static mtf_status pool(mtf_model *model, int precision, mtf_real *values)
{
    tiny_batch b;
    mtf_error err = {0};
    const mtf_output wanted = {"pooled", values};
    return mtf_model_forward(model, tiny_get_batch(&b, TINY_SEQUENCES), 1, &wanted, precision,
                             &err);
}

MTF_TEST(a_stopped_forward_leaves_no_half_filled_weights)
{
    static mtf_real expected[TINY_SEQUENCES * WIDE_WIDTH], found[TINY_SEQUENCES * WIDE_WIDTH];
    for (int precision = 0; precision < MTF_N_PRECISIONS; precision++) {
        mtf_model *model = wide_model();
        CHECK(pool(model, precision, expected) == MTF_OK);
        mtf_model_free(model);
        mtf_status status = MTF_INTERRUPTED;
        int at = 0;
        for (; status == MTF_INTERRUPTED; at++) {
            questions q;
            model = wide_model();
            watch(&q, at);
            status = pool(model, precision, found);
            watch_no_more();
            CHECK(status == MTF_OK || status == MTF_INTERRUPTED);
            CHECK(pool(model, precision, found) == MTF_OK);
            CHECK_BITS(expected, found, sizeof found);
            mtf_model_free(model);
        }
        CHECK(at > 10);
    }
}

/* ---- threads -------------------------------------------------------------------------------------- */

/* MANY sequences of one token. */
static const mtf_batch *many(tiny_batch *b)
{
    static int64_t offsets[MANY + 1];
    static int32_t ids[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        offsets[i + 1] = i + 1;
        ids[i] = (int32_t)(i % TINY_VOCABULARY);
    }
    b->rows = (mtf_rows){.space = "tokens", .offsets = offsets};
    b->inputs[0] = (mtf_input){"ids", ids};
    b->batch = (mtf_batch){MANY, 1, &b->rows, 1, b->inputs, 0, NULL};
    return &b->batch;
}

static void change_threads(int number)
{
    static const int n_threads[] = {16, 1, 5, 2};
    mtf_error err = {0};
    CHECK(mtf_threads_set(n_threads[number % 4], &err) == MTF_OK);
}

/* Gradients of a whole step with all outputs on the way, and pooled vectors. */
static size_t compute(mtf_model *model, mtf_real *to)
{
    static mtf_real ones[MANY * TINY_WIDTH];
    const mtf_injection injection = {"pooled", ones};
    const mtf_output wanted = {"pooled", to};
    const mtf_train_options options = {0};
    mtf_error err = {0};
    tiny_batch b;
    for (int i = 0; i < MANY * TINY_WIDTH; i++) {
        ones[i] = 1;
    }
    CHECK(mtf_model_forward(model, many(&b), 1, &wanted, MTF_AS_FROZEN, &err) == MTF_OK);
    CHECK(mtf_train_gradients(model, many(&b), 0, NULL, 1, &injection, 150, &options, NULL, NULL,
                              &err) == MTF_OK);
    size_t n = (size_t)MANY * TINY_WIDTH;
    for (size_t i = 0; i < mtf_model_n_params(model); i++) {
        mtf_param_info info;
        mtf_model_get_param(model, i, &info);
        n = tiny_copy(to, n, mtf_train_get_gradient(model, i), info.size);
    }
    return n;
}

MTF_TEST(threads_that_are_set_in_the_middle_move_nothing)
{
    static mtf_real expected[MOST], found[MOST];
    const int threads = mtf_threads_get();
    mtf_error err = {0};
    CHECK(mtf_threads_set(2, &err) == MTF_OK);
    mtf_model *model = fresh(0);
    const size_t n = compute(model, expected);
    mtf_model_free(model);
    questions q = {.at = -1, .meanwhile = change_threads};
    mtf_stop_watch(answer, &q, 0);
    model = fresh(0);
    CHECK_INT(compute(model, found), n);
    watch_no_more();
    CHECK(q.n > 50);
    CHECK_BITS(expected, found, n * sizeof *found);
    mtf_model_free(model);
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}

typedef struct caller {
    mtf_model *model;
    const mtf_batch *batch;
    int stops;
    int right;
    int n_stopped;
} caller;

static void *call_often(void *context)
{
    caller *c = context;
    mtf_real values[MANY * TINY_WIDTH];
    const mtf_output wanted = {"pooled", values};
    mtf_error err = {0};
    c->right = 1;
    for (int i = 0; i < 100; i++) {
        questions q;
        watch(&q, c->stops ? i % 20 : -1);
        const mtf_status status =
            mtf_model_forward(c->model, c->batch, 1, &wanted, MTF_AS_FROZEN, &err);
        /* how often it is asked depends on how much of the work the workers take */
        c->right &= status == (c->stops && q.n > i % 20 ? MTF_INTERRUPTED : MTF_OK);
        c->n_stopped += status == MTF_INTERRUPTED;
    }
    watch_no_more();
    return NULL;
}

MTF_TEST(who_is_stopped_stops_nobody_else)
{
    enum { CALLERS = 4 };
    const int threads = mtf_threads_get();
    mtf_error err = {0};
    pthread_t ids[CALLERS];
    caller callers[CALLERS];
    tiny_batch b;
    const mtf_batch *batch = many(&b);
    CHECK(mtf_threads_set(3, &err) == MTF_OK);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){fresh(0), batch, i % 2, 0, 0};
    }
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_create(&ids[i], NULL, call_often, &callers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0);
        CHECK(callers[i].right);
        CHECK(callers[i].stops ? callers[i].n_stopped >= 5 : callers[i].n_stopped == 0);
        mtf_model_free(callers[i].model);
    }
    CHECK(mtf_threads_set(threads, &err) == MTF_OK);
}
