/* The laws of an operation, each a function over an op_case (op_harness.h, which includes this).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OP_LAWS_H
#define MTF_OP_LAWS_H

#include "op_harness.h"

/* R10: gradients of one operation against finite differences in double, relative to the largest
 * element of the tensor. Fourth-order differences with step 1e-3 leave about 1e-11. */
#define OP_GRADIENT_TOLERANCE 1e-6

static inline double op_largest(const mtf_real *values, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)values[i]));
    }
    return largest;
}

static inline int op_finite(const mtf_real *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite((double)values[i])) {
            return 0;
        }
    }
    return 1;
}

#ifdef MTF_REAL_DOUBLE
static inline double op_loss(op_case *c)
{
    double loss = 0;
    op_forward(c, c->out, c->aux, 0, c->span.n_sequences);
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (c->out[o] == NULL || (c->no_dout >> o & 1U)) {
            continue;
        }
        for (int64_t i = 0; i < op_size(c, &c->shape.out[o]); i++) {
            loss += (double)c->dout[o][i] * (double)c->out[o][i];
        }
    }
    return loss;
}

/* d loss / d *value by fourth-order central differences. */
static inline double op_difference(op_case *c, mtf_real *value)
{
    const mtf_real held = *value;
    const double h = 1e-3;
    double sum = 0;
    *value = held + h;
    sum += 8 * op_loss(c);
    *value = held - h;
    sum -= 8 * op_loss(c);
    *value = held + 2 * h;
    sum -= op_loss(c);
    *value = held - 2 * h;
    sum += op_loss(c);
    *value = held;
    return sum / (12 * h);
}

/* gradient (n) against differences of values (n): every element of small tensors, else a sample. */
static inline void op_check_tensor(op_case *c, const mtf_real *gradient, mtf_real *values,
                                   int64_t n, const char *what, int index)
{
    const int64_t n_checked = n <= 300 ? n : 60;
    const double scale = fmax(op_largest(gradient, n), 1e-3);
    for (int64_t k = 0; k < n_checked; k++) {
        int64_t i = n_checked == n ? k : test_integer(0, n - 1);
        double want = op_difference(c, &values[i]);
        if (!CHECK_CLOSE(gradient[i], want, OP_GRADIENT_TOLERANCE * scale)) {
            fprintf(stderr, "    %s: %s %d, element %" PRId64 "\n", c->op->name, what, index, i);
            return;
        }
    }
}
#endif

/* Does nothing in the float build, where differences have no digits. */
static inline void op_check_differences(op_case *c)
{
#ifdef MTF_REAL_DOUBLE
    op_grads grads = op_backward(c, op_need_all(c), 0);
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (grads.din[i] != NULL) {
            op_check_tensor(c, grads.din[i], c->in[i], op_size(c, &c->shape.in[i]), "input", i);
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (grads.dw[i] != NULL) {
            op_check_tensor(c, grads.dw[i], c->values[i], op_weight_size(c, i), "weight", i);
        }
    }
    op_free_grads(&grads);
#else
    (void)c;
#endif
}

/* `part` has the bits of `whole` wherever it was asked for. */
static inline void op_check_same(const op_case *c, const op_grads *part, const op_grads *whole,
                                 const char *what)
{
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (part->din[i] != NULL) {
            size_t bytes = (size_t)op_size(c, &c->shape.in[i]) * sizeof(mtf_real);
            CHECK_MSG(memcmp(part->din[i], whole->din[i], bytes) == 0, what);
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (part->dw[i] != NULL) {
            size_t bytes = (size_t)op_weight_size(c, i) * sizeof(mtf_real);
            CHECK_MSG(memcmp(part->dw[i], whole->dw[i], bytes) == 0, what);
        }
    }
}

/* Every element is written; each gradient alone, with all else frozen, has the same bits. */
static inline void op_check_parts(op_case *c)
{
    const mtf_need all = op_need_all(c);
    op_grads whole = op_backward(c, all, 0);
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (whole.din[i] != NULL) {
            CHECK_MSG(op_finite(whole.din[i], op_size(c, &c->shape.in[i])), "din is all written");
            op_grads part = op_backward(c, (mtf_need){.dx = 1U << i}, 0);
            op_check_same(c, &part, &whole, "one input's gradient alone has the same bits");
            op_free_grads(&part);
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (whole.dw[i] != NULL) {
            CHECK_MSG(op_finite(whole.dw[i], op_weight_size(c, i)), "dw is all written");
            op_grads part = op_backward(c, (mtf_need){.dw = 1U << i}, 0);
            op_check_same(c, &part, &whole, "one weight's gradient alone has the same bits");
            op_free_grads(&part);
        }
    }
    if (all.dx != 0 && all.dw != 0) {
        op_grads part = op_backward(c, (mtf_need){.dx = all.dx}, 0);
        op_check_same(c, &part, &whole, "frozen weights leave the bits of dx");
        op_free_grads(&part);
        part = op_backward(c, (mtf_need){.dw = all.dw}, 0);
        op_check_same(c, &part, &whole, "the lowest trainable operation has the same dw");
        op_free_grads(&part);
    }
    op_free_grads(&whole);
}

static inline void op_check_added(const mtf_real *sum, const mtf_real *gradient, int64_t n)
{
    const double tolerance = OP_CLOSE * (1 + op_largest(gradient, n));
    for (int64_t i = 0; i < n; i++) {
        if (!CHECK_CLOSE(sum[i], (double)op_base(i) + (double)gradient[i], tolerance)) {
            return;
        }
    }
}

/* With the add flags: what was there plus the gradient. */
static inline void op_check_adding(op_case *c)
{
    const mtf_need all = op_need_all(c);
    op_grads written = op_backward(c, all, 0);
    op_grads added = op_backward(c, all, 1);
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (written.din[i] != NULL) {
            op_check_added(added.din[i], written.din[i], op_size(c, &c->shape.in[i]));
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (written.dw[i] != NULL) {
            op_check_added(added.dw[i], written.dw[i], op_weight_size(c, i));
        }
    }
    op_free_grads(&written);
    op_free_grads(&added);
}

/* Whether sequences may be parted before sequence `cut`. */
static inline int op_may_cut(const op_case *c, int64_t cut)
{
    if (c->op->locality == MTF_LOCAL_BATCH) {
        return cut == 0 || cut == c->span.n_sequences;
    }
    if (c->op->locality != MTF_LOCAL_NEIGHBOURS || cut == 0 || cut == c->span.n_sequences) {
        return 1;
    }
    const int64_t *offsets = c->span.offsets[c->shape.out[0].space];
    return offsets[cut] == offsets[cut - 1];
}

/* Forward in one go, in any two spans and by single sequences: the same bits. Outputs that nobody
 * reads and aux that is not kept change nothing. */
static inline void op_check_spans(op_case *c)
{
    const int64_t n = c->span.n_sequences;
    mtf_real *out[MTF_MAX_OUT] = {NULL};
    mtf_real *aux[MTF_MAX_AUX] = {NULL};
    mtf_real *alone[MTF_MAX_OUT] = {NULL};
    mtf_real *const none[MTF_MAX_AUX] = {NULL};
    const size_t bytes = (size_t)op_size(c, &c->shape.out[0]) * sizeof(mtf_real);
    op_forward(c, c->out, c->aux, 0, n);
    CHECK_MSG(op_finite(c->out[0], op_size(c, &c->shape.out[0])), "out is all written");
    alone[0] = op_new(op_size(c, &c->shape.out[0]));
    op_forward(c, alone, none, 0, n);
    CHECK_BITS(alone[0], c->out[0], bytes);
    free(alone[0]);
    for (int64_t cut = 0; cut <= n; cut++) {
        if (!op_may_cut(c, cut)) {
            continue;
        }
        for (int i = 0; i < MTF_MAX_OUT; i++) {
            out[i] = c->out[i] != NULL ? op_new(op_size(c, &c->shape.out[i])) : NULL;
        }
        for (int i = 0; i < MTF_MAX_AUX; i++) {
            aux[i] = c->aux[i] != NULL ? op_new(op_size(c, &c->shape.aux[i])) : NULL;
        }
        if (cut == 0) {
            for (int64_t s = 0, end = 1; s < n; s = end++) {
                while (!op_may_cut(c, end)) {
                    end++;
                }
                op_forward(c, out, aux, s, end);
            }
        } else {
            op_forward(c, out, aux, 0, cut);
            if (cut < n) {
                op_forward(c, out, aux, cut, n);
            }
        }
        for (int i = 0; i < MTF_MAX_OUT; i++) {
            if (out[i] != NULL) {
                CHECK_BITS(out[i], c->out[i],
                           (size_t)op_size(c, &c->shape.out[i]) * sizeof(mtf_real));
            }
            free(out[i]);
        }
        for (int i = 0; i < MTF_MAX_AUX; i++) {
            if (aux[i] != NULL) {
                CHECK_BITS(aux[i], c->aux[i],
                           (size_t)op_size(c, &c->shape.aux[i]) * sizeof(mtf_real));
            }
            free(aux[i]);
        }
    }
}

/* Backward on 1, 2, 3 and 8 threads: the same bits. */
static inline void op_check_threads(op_case *c)
{
    static const int counts[] = {2, 3, 8};
    mtf_error err;
    const int before = mtf_threads_get();
    CHECK_INT(mtf_threads_set(1, &err), MTF_OK);
    op_grads one = op_backward(c, op_need_all(c), 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        CHECK_INT(mtf_threads_set(counts[i], &err), MTF_OK);
        op_grads many = op_backward(c, op_need_all(c), 0);
        op_check_same(c, &many, &one, "any number of threads gives the same bits");
        op_free_grads(&many);
    }
    op_free_grads(&one);
    CHECK_INT(mtf_threads_set(before, &err), MTF_OK);
}

/* All of them. */
static inline void op_check_all(op_case *c)
{
    op_check_spans(c);
    op_check_parts(c);
    op_check_adding(c);
    op_check_threads(c);
    op_check_differences(c);
}

/* The check of the node refuses, with this status, and says `part` in its message. */
static inline void op_check_refused(op_case *c, mtf_status status, const char *part)
{
    mtf_error err = {0};
    CHECK_INT(c->op->check(&c->shape, &err), status);
    CHECK_INT(err.code, status);
    if (!CHECK_MSG(strstr(err.text, part) != NULL, "the message names what is wrong")) {
        fprintf(stderr, "    message \"%s\", expected part \"%s\"\n", err.text, part);
    }
    CHECK_MSG(strstr(err.text, c->shape.label) != NULL, "the message names the node");
}

/* The extent of the whole case, for prices. */
static inline mtf_extent op_extent(const op_case *c)
{
    mtf_extent extent = {0};
    for (int space = 0; space < OP_N_SPACES; space++) {
        extent.n_rows[space] = c->span.n_rows[space];
        extent.max_length[space] = c->span.max_length[space];
        extent.offsets[space] = c->span.offsets[space];
    }
    return extent;
}

#endif
