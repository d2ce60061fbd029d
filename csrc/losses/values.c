/* values.c: a loss of outputs that are at hand, for each sequence by itself; see mtfreeze.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "../base/work.h"

#include <math.h>

mtf_status mtf_loss_get(const char *kind, int64_t n, mtf_loss_info *info, mtf_error *err)
{
    const mtf_loss_kind *loss = NULL;
    MTF_TRY(mtf_loss_find(kind, &loss, err));
    *info = (mtf_loss_info){
        .kind = loss->name, .type = loss->targets, .width = mtf_loss_columns(loss, n)};
    return MTF_OK;
}

static mtf_status check_rows(const mtf_loss_rows *rows, const int64_t *offsets, mtf_error *err)
{
    if (rows->n < 1 || rows->parts < 1 || rows->n % rows->parts != 0) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "outputs must have a column or more, in equal parts; found %lld in %lld",
                        (long long)rows->n, (long long)rows->parts);
    }
    int64_t before = 0;
    for (int64_t s = 0; s <= rows->n_sequences; s++) {
        if (offsets[s] < before || (s == 0 && offsets[s] != 0)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "offset %lld is %lld: expected 0 first, and none below the one before",
                            (long long)s, (long long)offsets[s]);
        }
        before = offsets[s];
    }
    return before == rows->m ? MTF_OK
                             : mtf_fail(err, MTF_ERR_VALUE,
                                        "the last offset must be the number of rows, %lld; found "
                                        "%lld",
                                        (long long)rows->m, (long long)before);
}

/* The rows of sequence s. */
static mtf_loss_rows rows_of(const mtf_loss_kind *kind, const mtf_loss_rows *rows, int64_t s)
{
    const int64_t first = rows->offsets[s];
    mtf_loss_rows one = *rows;
    one.y += first * rows->n;
    one.targets = mtf_loss_target(kind, rows->targets, first, rows->n);
    one.m = rows->offsets[s + 1] - first;
    one.offsets += s;
    one.n_sequences = 1;
    return one;
}

static mtf_status each_value(const mtf_loss_kind *kind, const mtf_loss_rows *rows, double *values,
                             mtf_error *err)
{
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        mtf_loss_rows one = rows_of(kind, rows, s);
        mtf_loss_counts counts;
        MTF_TRY(kind->check("output", &one, &counts, err));
        one.counts = &counts;
        values[s] = counts.n_labelled > 0 ? kind->value_and_gradient(&one) / counts.divisor : NAN;
        MTF_TRY(mtf_work_check(err));
    }
    return MTF_OK;
}

static mtf_status loss_values(const mtf_loss *loss, mtf_loss_rows *rows, double *values,
                              mtf_error *err)
{
    const mtf_loss_kind *kind = NULL;
    mtf_loss_counts counts;
    MTF_TRY(mtf_loss_find(loss->kind, &kind, err));
    if (loss->type != kind->targets) {
        return mtf_fail(err, MTF_ERR_VALUE, "the loss \"%s\" takes targets of another type",
                        kind->name);
    }
    MTF_TRY(check_rows(rows, rows->offsets, err));
    MTF_TRY(mtf_loss_check_settings(kind, loss->output, rows->n, rows->settings, err));
    MTF_TRY(kind->check(loss->output, rows, &counts, err));
    const size_t n = kind->work != NULL ? kind->work(rows) : 0;
    rows->work = mtf_alloc_array(n, sizeof *rows->work);
    if (rows->work == NULL) {
        return mtf_fail_memory(err, n * sizeof *rows->work);
    }
    const mtf_status status = each_value(kind, rows, values, err);
    mtf_free(rows->work);
    return status;
}

mtf_status mtf_loss_values(const mtf_loss *loss, const mtf_real *y, int64_t m, int64_t n,
                           int64_t parts, const int64_t *offsets, int64_t n_sequences,
                           double *values, mtf_error *err)
{
    mtf_loss_rows rows = {.y = y,
                          .targets = loss->targets,
                          .m = m,
                          .n = n,
                          .parts = parts,
                          .offsets = offsets,
                          .n_sequences = n_sequences,
                          .settings = loss->settings != NULL ? loss->settings : &MTF_LOSS_DEFAULTS};
    mtf_work work;
    mtf_work_open(&work);
    return mtf_work_close(&work, loss_values(loss, &rows, values, err), err);
}
