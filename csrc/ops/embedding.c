/* Sum of word, token type and position embeddings, forward and backward.
 *
 *   y[r] = word[id[r]] + type[type_id[r]] + position[p(r) + position_offset]
 *   with p(r) how many rows of its sequence come before row r; added in this order.
 *   dword[v] = sum of dy[r] over rows with id[r] = v, and likewise for the other two tables
 *
 * With skips_pad, rows whose id is position_offset - 1 (a model's padding, as a token of a text) are
 * not counted in p and use that row of the position table.
 * Type and position tables may be absent. A type input that is absent or left out means type 0.
 * Backward reads ids only, which the batch holds anyway: no activation is saved.
 * Callers guarantee ids within the tables and p(r) + position_offset below the position rows.
 * Where the states of a table's rows are kept, only rows that the last step reached are zeroed.
 * Cut: tables are zeroed by rows, then filled by column ranges, each visiting rows in token order,
 * so that the accumulation order is one at any thread count. Tolerance family: elementwise forward,
 * reduction backward.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ZERO_ROWS = 512, COLUMNS = 64 };

enum { IDS, TYPES };
enum { WORD, POSITION, TYPE, N_TABLES };

static mtf_status embedding_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_ids(shape, "embedding", IDS, "ids", err);
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "embedding", WORD, "word table", 0, 0, err);
    }
    int64_t c = shape->weight_cols[WORD];
    if (status == MTF_OK && mtf_has_weight(shape, POSITION)) {
        status = mtf_check_weight(shape, "embedding", POSITION, "position table", 0, c, err);
    }
    if (status == MTF_OK && mtf_has_weight(shape, TYPE)) {
        status = mtf_check_weight(shape, "embedding", TYPE, "token type table", 0, c, err);
    }
    if (status == MTF_OK && mtf_has_input(shape, TYPES)) {
        status = mtf_check_ids(shape, "embedding", TYPES, "token types", err);
        if (status == MTF_OK) {
            status = mtf_check_space(shape, "embedding", TYPES, "token types", err);
        }
        if (status == MTF_OK) {
            status = mtf_check_weight(shape, "embedding", TYPE, "token type table", 0, c, err);
        }
    }
    if (status != MTF_OK) {
        return status;
    }
    int64_t offset = shape->attrs.position_offset;
    if (offset < 0 || (mtf_has_weight(shape, POSITION) && offset >= shape->weight_rows[POSITION])) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: embedding expects a position offset from 0 to below the %lld rows of "
                        "its position table, found %lld; correct the configuration",
                        shape->label, (long long)shape->weight_rows[POSITION], (long long)offset);
    }
    if (shape->attrs.skips_pad && (offset < 1 || !mtf_has_weight(shape, POSITION))) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "%s: embedding expects a position table and a padding id of at least 0 where "
            "padding is not counted, found %lld; correct the configuration",
            shape->label, (long long)offset - 1);
    }
    mtf_set_output(shape, shape->in[IDS].space, c);
    return MTF_OK;
}

/* Row of the position table that row `row` of the span uses, the rows of a sequence being asked
 * for in order; *place counts them, from 0. */
static int64_t position_row(const mtf_op_call *call, int64_t row, int64_t *place)
{
    const int32_t first = call->shape->attrs.position_offset;
    if (call->shape->attrs.skips_pad && call->ids[IDS][row] == first - 1) {
        return first - 1;
    }
    return first + (*place)++;
}

/* Row of table `table` that row `row` of the span uses; see position_row for *place. */
static int64_t table_row(const mtf_op_call *call, int table, int64_t row, int64_t *place)
{
    switch (table) {
    case WORD:
        return call->ids[IDS][row];
    case TYPE:
        return call->ids[TYPES] != NULL ? call->ids[TYPES][row] : 0;
    default:
        return position_row(call, row, place);
    }
}

static void embedding_forward(const mtf_op_call *call)
{
    const mtf_span *span = call->span;
    int32_t space = call->shape->in[IDS].space;
    int64_t c = call->shape->out[0].width;
    static const int later[] = {TYPE, POSITION};
    for (int64_t s = 0; s < span->n_sequences; s++) {
        int64_t first = mtf_span_start(span, space, s);
        int64_t last = mtf_span_start(span, space, s + 1);
        int64_t place = 0;
        for (int64_t row = first; row < last; row++) {
            mtf_real *y = call->out[0] + row * c;
            memcpy(y, call->w[WORD]->master + table_row(call, WORD, row, &place) * c,
                   (size_t)c * sizeof *y);
            for (int i = 0; i < 2; i++) {
                const mtf_weight *w = call->w[later[i]];
                if (w != NULL) {
                    int64_t at = table_row(call, later[i], row, &place);
                    mtf_kernel->add_to(y, w->master + at * c, c);
                    mtf_flops_add(MTF_FLOPS_FORWARD, c);
                }
            }
        }
    }
}

/* One backward call. Items of both passes go through the tables that train, one after another. */
typedef struct embedding_job {
    const mtf_op_call *call;
    int64_t c;
    int64_t n_items[N_TABLES]; /* of the pass under way */
} embedding_job;

/* The table that `item` belongs to; *item becomes its number there. */
static int find_table(const embedding_job *job, int64_t *item)
{
    int table = WORD;
    while (*item >= job->n_items[table]) {
        *item -= job->n_items[table];
        table++;
    }
    return table;
}

static void zero_item(void *context, int64_t item, int worker)
{
    const embedding_job *job = context;
    (void)worker;
    int table = find_table(job, &item);
    int64_t first = item * ZERO_ROWS;
    int64_t last = mtf_piece_end(job->call->shape->weight_rows[table], ZERO_ROWS, item);
    mtf_real *dw = job->call->dw[table];
    uint8_t *state = job->call->dw_rows[table];
    if (state == NULL) {
        memset(dw + first * job->c, 0, (size_t)((last - first) * job->c) * sizeof *dw);
        return;
    }
    for (int64_t row = first; row < last; row++) {
        if (state[row] == MTF_ROW_REACHED) {
            memset(dw + row * job->c, 0, (size_t)job->c * sizeof *dw);
            state[row] = MTF_ROW_MOVED;
        }
    }
}

static void mark_rows(const mtf_op_call *call, int table)
{
    const mtf_span *span = call->span;
    const int32_t space = call->shape->in[IDS].space;
    for (int64_t s = 0; s < span->n_sequences; s++) {
        const int64_t first = mtf_span_start(span, space, s);
        const int64_t last = mtf_span_start(span, space, s + 1);
        int64_t place = 0;
        for (int64_t row = first; row < last; row++) {
            call->dw_rows[table][table_row(call, table, row, &place)] = MTF_ROW_REACHED;
        }
    }
}

static void add_item(void *context, int64_t item, int worker)
{
    const embedding_job *job = context;
    const mtf_op_call *call = job->call;
    const mtf_span *span = call->span;
    int32_t space = call->shape->in[IDS].space;
    (void)worker;
    int table = find_table(job, &item);
    int64_t c = job->c;
    int64_t first_column = item * COLUMNS;
    int64_t n_columns = mtf_piece_end(c, COLUMNS, item) - first_column;
    mtf_real *dw = call->dw[table] + first_column;
    const mtf_real *dout = call->dout[0] + first_column;
    for (int64_t s = 0; s < span->n_sequences; s++) {
        int64_t first = mtf_span_start(span, space, s);
        int64_t last = mtf_span_start(span, space, s + 1);
        int64_t place = 0;
        for (int64_t row = first; row < last; row++) {
            int64_t at = table_row(call, table, row, &place);
            mtf_kernel->add_to(dw + at * c, dout + row * c, n_columns);
            mtf_flops_add(MTF_FLOPS_DW, n_columns);
        }
    }
}

static void embedding_backward(const mtf_op_call *call)
{
    embedding_job job = {.call = call, .c = call->shape->out[0].width};
    int64_t total = 0;
    for (int table = WORD; table < N_TABLES; table++) {
        if (call->dw[table] != NULL && !call->dw_add[table]) {
            job.n_items[table] = mtf_pieces(call->shape->weight_rows[table], ZERO_ROWS);
            total += job.n_items[table];
        }
    }
    mtf_parallel_for(total, zero_item, &job);
    total = 0;
    for (int table = WORD; table < N_TABLES; table++) {
        if (call->dw[table] != NULL && call->dw_rows[table] != NULL) {
            mark_rows(call, table);
        }
        job.n_items[table] = call->dw[table] != NULL ? mtf_pieces(job.c, COLUMNS) : 0;
        total += job.n_items[table];
    }
    mtf_parallel_for(total, add_item, &job);
}

static mtf_save embedding_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    const int positions_by_ids = (need.dw & (1U << POSITION)) && shape->attrs.skips_pad;
    if ((need.dw & (1U << WORD)) || positions_by_ids) {
        save.in |= 1U << IDS;
    }
    if ((need.dw & (1U << TYPE)) && mtf_has_input(shape, TYPES)) {
        save.in |= 1U << TYPES;
    }
    return save;
}

/* One addition an element and table: all but the first forward, those that train backward. */
static mtf_cost embedding_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double elements = (double)extent->n_rows[shape->in[IDS].space] * (double)shape->out[0].width;
    int n_added = mtf_has_weight(shape, POSITION) + mtf_has_weight(shape, TYPE);
    int n_train = 0;
    for (int table = WORD; table < N_TABLES; table++) {
        n_train += (need.dw & (1U << table)) != 0;
    }
    return (mtf_cost){.forward = elements * n_added, .dx = 0, .dw = elements * n_train};
}

const mtf_op mtf_op_embedding = {.name = "embedding",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = embedding_check,
                                 .forward = embedding_forward,
                                 .backward = embedding_backward,
                                 .saves = embedding_saves,
                                 .cost = embedding_cost,
                                 .by_rows = 1U << WORD | 1U << POSITION | 1U << TYPE,
                                 .work = mtf_no_work};
