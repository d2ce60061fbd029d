/* What every test of an operation shares: one node of it (op_case) over a few sequences of different
 * lengths, run forward and backward with buffers of the exact sizes, filled with NaN beforehand.
 *
 *   op_case c;
 *   op_begin(&c, &mtf_op_linear, lengths, n_sequences);
 *   op_input(&c, 0, OP_TOKENS, 5); op_weight(&c, 0, 7, 5); op_weight(&c, 1, 7, 1);
 *   op_build(&c);        op_check_all(&c);        op_end(&c);
 *
 * op_check_all holds the laws of an operation: finite differences (double build, R10: 1e-6
 * relative), parts alone equal all together, adding equals writing plus what was there, forward by
 * spans and backward by threads give the same bits, backward reads no more than saves() names, and
 * nothing allocates.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OP_HARNESS_H
#define MTF_OP_HARNESS_H

#include "ops/ops.h"
#include "test.h"

#define OP_MAX_SEQUENCES 16
#define OP_TOKENS        1
#define OP_KEYS          2 /* a second space of rows, with lengths of its own */
#define OP_N_SPACES      3

#ifdef MTF_REAL_DOUBLE
#define OP_CLOSE 1e-12
#else
#define OP_CLOSE 1e-5
#endif

typedef struct op_case {
    const mtf_op *op;
    mtf_node_shape shape;
    mtf_span span; /* all sequences */
    int64_t offsets[OP_N_SPACES][OP_MAX_SEQUENCES + 1];
    int64_t widths[OP_N_SPACES][OP_MAX_SEQUENCES]; /* of spaces that are grids */
    mtf_real *in[MTF_MAX_IN];                      /* (R, width) */
    int32_t *ids[MTF_MAX_IN];                      /* (R) */
    mtf_weight w[MTF_MAX_WEIGHTS];
    mtf_real *values[MTF_MAX_WEIGHTS]; /* (rows, cols): what w points at */
    mtf_real *found[MTF_MAX_WEIGHTS];  /* shape of w: of those in op->moves */
    mtf_real *out[MTF_MAX_OUT];        /* (R, width) */
    mtf_real *aux[MTF_MAX_AUX];        /* (R, width) */
    mtf_real *dout[MTF_MAX_OUT];       /* (R, width); the loss is the sum of dout * out */
    uint32_t no_dout;                  /* bits: outputs at which no gradient arrives */
    uint32_t constant;                 /* bits: inputs without a gradient */
    uint32_t constant_weights;         /* bits: weights without one */
    uint64_t dropout_key;
    int dropout_on;
} op_case;

/* Gradients of one backward run; NULL where not asked for. */
typedef struct op_grads {
    mtf_real *din[MTF_MAX_IN];
    mtf_real *dw[MTF_MAX_WEIGHTS];
} op_grads;

static inline mtf_real *op_new(int64_t n)
{
    mtf_real *values = malloc((size_t)(n > 0 ? n : 1) * sizeof *values);
    if (values == NULL) {
        exit(2);
    }
    for (int64_t i = 0; i < n; i++) {
        values[i] = (mtf_real)NAN;
    }
    return values;
}

static inline int64_t op_rows(const op_case *c, const mtf_slot *slot)
{
    return c->span.n_rows[slot->space];
}

static inline int64_t op_size(const op_case *c, const mtf_slot *slot)
{
    return op_rows(c, slot) * slot->width;
}

static inline int64_t op_weight_size(const op_case *c, int i)
{
    return c->shape.weight_rows[i] * c->shape.weight_cols[i];
}

/* Blocks that the core has asked for so far: an operation asks for none. */
static inline uint64_t op_allocations(void)
{
    mtf_memory_info info;
    mtf_memory_get(&info);
    return info.n_allocations;
}

/* Gives space `space` these lengths (n_sequences). */
static inline void op_lengths(op_case *c, int space, const int64_t *lengths)
{
    c->offsets[space][0] = 0;
    c->span.max_length[space] = 0;
    for (int64_t s = 0; s < c->span.n_sequences; s++) {
        c->offsets[space][s + 1] = c->offsets[space][s] + lengths[s];
        if (lengths[s] > c->span.max_length[space]) {
            c->span.max_length[space] = lengths[s];
        }
    }
    c->span.n_rows[space] = c->offsets[space][c->span.n_sequences];
    c->span.offsets[space] = c->offsets[space];
}

/* Gives space `space` grids of these sides (n_sequences). */
static inline void op_grid(op_case *c, int space, const int64_t *heights, const int64_t *widths)
{
    int64_t lengths[OP_MAX_SEQUENCES];
    for (int64_t s = 0; s < c->span.n_sequences; s++) {
        lengths[s] = heights[s] * widths[s];
        c->widths[space][s] = widths[s];
    }
    op_lengths(c, space, lengths);
    c->span.widths[space] = c->widths[space];
}

/* Fills the forms of weights that are read over them alone. */
static inline void op_fill_forms(op_case *c)
{
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (c->values[i] == NULL || !(c->op->factors >> i & 1U) || c->w[i].taps == 0) {
            continue;
        }
        for (int use = 0; use < MTF_N_USES; use++) {
            mtf_error err;
            CHECK_INT(mtf_form_reserve(&c->w[i], (mtf_use)use, MTF_PRECISION_F32, &err), MTF_OK);
            mtf_form_fill(&c->w[i], (mtf_use)use, MTF_PRECISION_F32, 0,
                          mtf_form_panels(&c->w[i], (mtf_use)use));
            c->w[i].forms[use][MTF_PRECISION_F32].filled = c->w[i].version + 1;
        }
    }
}

static inline void op_begin(op_case *c, const mtf_op *op, const int64_t *lengths /* (n) */,
                            int64_t n)
{
    static int started;
    mtf_error err;
    if (!started) {
        CHECK_INT(mtf_runtime_init(NULL, &err), MTF_OK);
        started = 1;
    }
    *c = (op_case){.op = op, .shape.label = "test node", .shape.key = UINT64_C(0x1234567)};
    c->span.n_sequences = n;
    c->span.first_sequence = 5;
    c->span.n_rows[MTF_SPACE_SEQUENCES] = n;
    c->span.max_length[MTF_SPACE_SEQUENCES] = 1;
    op_lengths(c, OP_TOKENS, lengths);
}

static inline void op_input(op_case *c, int i, int space, int64_t width)
{
    c->shape.in[i] = (mtf_slot){.space = space, .width = width};
    int64_t n = op_size(c, &c->shape.in[i]);
    c->in[i] = op_new(n);
    test_fill(c->in[i], (size_t)n, -1.0, 1.0);
}

static inline void op_input_ids(op_case *c, int i, int space, int32_t limit)
{
    c->shape.in[i] = (mtf_slot){.space = space, .width = 1, .is_ids = 1};
    int64_t n = c->span.n_rows[space];
    c->ids[i] = malloc((size_t)n * sizeof *c->ids[i]);
    for (int64_t r = 0; c->ids[i] != NULL && r < n; r++) {
        c->ids[i][r] = (int32_t)test_integer(0, limit - 1);
    }
}

static inline void op_weight(op_case *c, int i, int64_t rows, int64_t cols)
{
    c->shape.weight_rows[i] = rows;
    c->shape.weight_cols[i] = cols;
    c->values[i] = op_new(rows * cols);
    test_fill(c->values[i], (size_t)(rows * cols), -1.0, 1.0);
}

/* Runs the check of the node and makes its outputs and their gradients; 1 if it passed. */
static inline int op_build(op_case *c)
{
    mtf_error err = {0};
    if (!CHECK_MSG(c->op->check(&c->shape, &err) == MTF_OK, err.text)) {
        return 0;
    }
    for (int i = 0; i < MTF_MAX_OUT; i++) {
        if (c->shape.out[i].width > 0) {
            int64_t n = op_size(c, &c->shape.out[i]);
            c->out[i] = op_new(n);
            c->dout[i] = op_new(n);
            test_fill(c->dout[i], (size_t)n, -1.0, 1.0);
        }
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        if (c->shape.aux[i].width > 0) {
            c->aux[i] = op_new(op_size(c, &c->shape.aux[i]));
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        c->w[i] = (mtf_weight){.master = c->values[i],
                               .rows = c->shape.weight_rows[i],
                               .cols = c->shape.weight_cols[i],
                               .layout = c->shape.attrs.layout,
                               .version = 1};
        if (c->op->moves >> i & 1U) {
            c->found[i] = op_new(op_weight_size(c, i));
        }
    }
    return 1;
}

static inline void op_end(op_case *c)
{
    for (int i = 0; i < MTF_MAX_IN; i++) {
        free(c->in[i]);
        free(c->ids[i]);
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        free(c->values[i]);
        free(c->found[i]);
        mtf_forms_free(&c->w[i]);
    }
    for (int i = 0; i < MTF_MAX_OUT; i++) {
        free(c->out[i]);
        free(c->dout[i]);
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        free(c->aux[i]);
    }
}

/* Where row 0 of sequence `first` of the slot begins, or NULL. */
static inline mtf_real *op_at(const op_case *c, mtf_real *values, const mtf_slot *slot,
                              int64_t first)
{
    const int64_t *offsets = c->span.offsets[slot->space];
    int64_t row = offsets != NULL ? offsets[first] : first;
    return values != NULL ? values + row * slot->width : NULL;
}

/* Rows and longest sequences of a span. */
static inline mtf_extent op_span_extent(const mtf_span *span)
{
    mtf_extent extent = {0};
    memcpy(extent.n_rows, span->n_rows, sizeof extent.n_rows);
    memcpy(extent.max_length, span->max_length, sizeof extent.max_length);
    return extent;
}

/* Forward over sequences first .. last-1 into out and aux (whole arrays; entries may be NULL). */
static inline void op_forward(op_case *c, mtf_real *const out[MTF_MAX_OUT],
                              mtf_real *const aux[MTF_MAX_AUX], int64_t first, int64_t last)
{
    op_fill_forms(c);
    mtf_span span = c->span;
    mtf_op_call call = {.shape = &c->shape,
                        .span = &span,
                        .dropout_key = c->dropout_key,
                        .dropout_on = c->dropout_on};
    span.first_sequence += first;
    span.n_sequences = last - first;
    for (int space = 0; space < OP_N_SPACES; space++) {
        const int64_t *offsets = c->span.offsets[space];
        span.n_rows[space] = offsets != NULL ? offsets[last] - offsets[first] : last - first;
        span.offsets[space] = offsets != NULL ? offsets + first : NULL;
        const int64_t *widths = c->span.widths[space];
        span.widths[space] = widths != NULL ? widths + first : NULL;
    }
    for (int i = 0; i < MTF_MAX_IN; i++) {
        call.in[i] = op_at(c, c->in[i], &c->shape.in[i], first);
        if (c->ids[i] != NULL) {
            const int64_t *offsets = c->span.offsets[c->shape.in[i].space];
            call.ids[i] = c->ids[i] + (offsets != NULL ? offsets[first] : first);
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        call.w[i] = c->values[i] != NULL ? &c->w[i] : NULL;
        call.found[i] = c->found[i];
    }
    for (int i = 0; i < MTF_MAX_OUT; i++) {
        call.out[i] = op_at(c, out[i], &c->shape.out[i], first);
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        call.aux[i] = op_at(c, aux[i], &c->shape.aux[i], first);
    }
    const mtf_extent extent = op_span_extent(&span);
    call.work = op_new((int64_t)c->op->work(&c->shape, &extent, 0));
    const uint64_t before = op_allocations();
    c->op->forward(&call);
    CHECK_INT(op_allocations(), before);
    free(call.work);
}

/* A fixed value to add to, for the accumulate flags. */
static inline mtf_real op_base(int64_t i)
{
    return (mtf_real)(0.25 * (double)(i % 7) - 0.5);
}

static inline mtf_real *op_new_gradient(int64_t n, int add)
{
    mtf_real *values = op_new(n);
    for (int64_t i = 0; add && i < n; i++) {
        values[i] = op_base(i);
    }
    return values;
}

/* All that the node can be asked for. */
static inline mtf_need op_need_all(const op_case *c)
{
    mtf_need need = {0};
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (c->in[i] != NULL && !(c->constant >> i & 1U)) {
            need.dx |= 1U << i;
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (c->values[i] != NULL && !(c->constant_weights >> i & 1U)) {
            need.dw |= 1U << i;
        }
    }
    return need;
}

/* Forward over everything, then backward; it is handed only what saves() names for `need`. */
static inline op_grads op_backward(op_case *c, mtf_need need, int add)
{
    op_grads grads = {0};
    mtf_save save = c->op->saves(&c->shape, need);
    mtf_op_call call = {.shape = &c->shape,
                        .span = &c->span,
                        .dropout_key = c->dropout_key,
                        .dropout_on = c->dropout_on};
    op_forward(c, c->out, c->aux, 0, c->span.n_sequences);
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (save.in >> i & 1U) {
            call.in[i] = c->in[i];
            call.ids[i] = c->ids[i];
        }
        if (need.dx >> i & 1U) {
            grads.din[i] = op_new_gradient(op_size(c, &c->shape.in[i]), add);
            call.din[i] = grads.din[i];
            call.din_add[i] = add;
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        call.w[i] = c->values[i] != NULL ? &c->w[i] : NULL;
        call.found[i] = c->found[i];
        if (need.dw >> i & 1U) {
            grads.dw[i] = op_new_gradient(op_weight_size(c, i), add);
            call.dw[i] = grads.dw[i];
            call.dw_add[i] = add;
        }
    }
    for (int i = 0; i < MTF_MAX_OUT; i++) {
        call.out[i] = (save.out >> i & 1U) ? c->out[i] : NULL;
        call.dout[i] = (c->no_dout >> i & 1U) ? NULL : c->dout[i];
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        call.aux[i] = (save.aux >> i & 1U) ? c->aux[i] : NULL;
    }
    const mtf_extent extent = op_span_extent(&c->span);
    call.work_stride = c->op->work(&c->shape, &extent, 1);
    call.work = op_new((int64_t)call.work_stride * mtf_threads_get());
    if (c->op->shared != NULL) {
        call.shared = op_new((int64_t)c->op->shared(&c->shape, &extent, need, MTF_PRECISION_F32));
    }
    const uint64_t before = op_allocations();
    c->op->backward(&call);
    CHECK_INT(op_allocations(), before);
    free(call.work);
    free(call.shared);
    return grads;
}

static inline void op_free_grads(op_grads *grads)
{
    for (int i = 0; i < MTF_MAX_IN; i++) {
        free(grads->din[i]);
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        free(grads->dw[i]);
    }
}

#include "op_laws.h" /* what is held about a case */

#endif
