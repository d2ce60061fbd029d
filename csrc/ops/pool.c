/* pool.c: the check and the cut of every pooling; see pool.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include "../base/threads.h"
#include "checks.h"
#include "span.h"

mtf_status mtf_pool_check(mtf_node_shape *shape, const char *op, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, op, 0, "x", 0, err);
    if (status == MTF_OK) {
        mtf_set_output(shape, MTF_SPACE_SEQUENCES, shape->in[0].width);
    }
    return status;
}

static void pool_one(const mtf_op_call *call, int64_t sequence, mtf_pool_sequence pool)
{
    const int32_t space = call->shape->in[0].space;
    pool(call, sequence, mtf_span_start(call->span, space, sequence),
         mtf_span_start(call->span, space, sequence + 1));
}

void mtf_pool_forward(const mtf_op_call *call, mtf_pool_sequence pool)
{
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        pool_one(call, s, pool);
    }
}

typedef struct backward_pass {
    const mtf_op_call *call;
    mtf_pool_sequence pool;
} backward_pass;

static void backward_item(void *context, int64_t sequence, int worker)
{
    const backward_pass *pass = context;
    (void)worker;
    pool_one(pass->call, sequence, pass->pool);
}

void mtf_pool_backward(const mtf_op_call *call, mtf_pool_sequence pool)
{
    backward_pass pass = {call, pool};
    if (call->din[0] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &pass);
    }
}
