/* pool.c: the check and the cut of every pooling; see pool.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <string.h>

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

mtf_status mtf_pool_check(mtf_node_shape *shape, const char *op, mtf_pooling first,
                          mtf_pooling last, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, op, MTF_POOL_X, "x", 0, err));
    if (mtf_has_input(shape, MTF_POOL_SKIP)) {
        MTF_TRY(mtf_check_ids(shape, op, MTF_POOL_SKIP, "skip", err));
        if (shape->in[MTF_POOL_SKIP].space != MTF_SPACE_SEQUENCES) {
            return mtf_fail(err, MTF_ERR_SHAPE,
                            "%s: %s expects input %d (skip) with one id a sequence, found ids of "
                            "another row space; declare it in the space \"sequences\"",
                            shape->label, op, MTF_POOL_SKIP);
        }
    }
    if (shape->attrs.pooling < first || shape->attrs.pooling > last) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: %s expects a kind of pooling from %d to %d, found %d; build it with "
                        "mtf_node_pool",
                        shape->label, op, (int)first, (int)last, (int)shape->attrs.pooling);
    }
    mtf_set_output(shape, MTF_SPACE_SEQUENCES, shape->in[MTF_POOL_X].width);
    return MTF_OK;
}

static mtf_pool_rows rows_of(const mtf_op_call *call, int64_t sequence)
{
    const int32_t space = call->shape->in[MTF_POOL_X].space;
    const int32_t *skip = call->ids[MTF_POOL_SKIP];
    mtf_pool_rows rows = {.sequence = sequence,
                          .begin = mtf_span_start(call->span, space, sequence),
                          .end = mtf_span_start(call->span, space, sequence + 1)};
    const int64_t most = rows.end - rows.begin - 1;
    const int64_t asked = call->shape->attrs.skip_rows + (skip != NULL ? skip[sequence] : 0);
    rows.first = rows.begin + (asked < most ? asked : most);
    return rows;
}

void mtf_pool_forward(const mtf_op_call *call, mtf_pool_sequence pool)
{
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const mtf_pool_rows rows = rows_of(call, s);
        pool(call, &rows);
    }
}

typedef struct backward_pass {
    const mtf_op_call *call;
    mtf_pool_sequence pool;
} backward_pass;

static void backward_item(void *context, int64_t sequence, int worker)
{
    const backward_pass *pass = context;
    const mtf_op_call *call = pass->call;
    const mtf_pool_rows rows = rows_of(call, sequence);
    (void)worker;
    if (!call->din_add[MTF_POOL_X]) {
        const int64_t c = call->shape->in[MTF_POOL_X].width;
        memset(call->din[MTF_POOL_X] + rows.begin * c, 0,
               (size_t)((rows.first - rows.begin) * c) * sizeof(mtf_real));
    }
    pass->pool(call, &rows);
}

void mtf_pool_backward(const mtf_op_call *call, mtf_pool_sequence pool)
{
    backward_pass pass = {call, pool};
    if (call->din[MTF_POOL_X] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &pass);
    }
}

mtf_save mtf_pool_saves(const mtf_node_shape *shape, mtf_need need)
{
    const int reads = need.dx != 0 && mtf_has_input(shape, MTF_POOL_SKIP);
    return (mtf_save){.in = reads ? 1U << MTF_POOL_SKIP : 0U};
}
