/* losses.c: finding a kind of loss by name, its settings, a row in its targets; see losses.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "losses.h"

#include "../base/status.h"

#include <math.h>
#include <string.h>

mtf_status mtf_loss_find(const char *name, const mtf_loss_kind **kind, mtf_error *err)
{
    mtf_name_list known = {"", 0};
    for (size_t i = 0; mtf_loss_table[i] != NULL; i++) {
        if (strcmp(mtf_loss_table[i]->name, name) == 0) {
            *kind = mtf_loss_table[i];
            return MTF_OK;
        }
        mtf_list_name(&known, mtf_loss_table[i]->name);
    }
    return mtf_fail(err, MTF_ERR_NAME, "there is no loss \"%s\"; this build has: %s", name,
                    known.text);
}

int64_t mtf_loss_columns(const mtf_loss_kind *kind, int64_t n)
{
    if (kind->targets == MTF_TARGET_LABELS) {
        return 0;
    }
    return kind->columns > 0 ? kind->columns : n + kind->more_columns;
}

const void *mtf_loss_target(const mtf_loss_kind *kind, const void *targets, int64_t row, int64_t n)
{
    if (kind->targets == MTF_TARGET_LABELS) {
        return (const int32_t *)targets + row;
    }
    return (const mtf_real *)targets + row * mtf_loss_columns(kind, n);
}

const mtf_loss_settings MTF_LOSS_DEFAULTS = {.temperature = 1.0, .soft_share = 0.5};

/* Whether a number lies in 0 .. below, `below` excluded. */
static mtf_status check_number(const char *output, const char *what, double value, double below,
                               mtf_error *err)
{
    return value >= 0 && value < below
               ? MTF_OK
               : mtf_fail(err, MTF_ERR_VALUE,
                          "%s of the loss of \"%s\" must be at least 0 and below %g, found %g",
                          what, output, below, value);
}

static mtf_status check_weights(const char *output, int64_t n, const mtf_loss_settings *settings,
                                mtf_error *err)
{
    if (settings->class_weights == NULL) {
        return MTF_OK;
    }
    if (settings->n_class_weights != n) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss of \"%s\" takes %lld class weights, one for each output, found "
                        "%lld",
                        output, (long long)n, (long long)settings->n_class_weights);
    }
    for (int64_t j = 0; j < n; j++) {
        const double weight = settings->class_weights[j];
        if (!(weight > 0) || !isfinite(weight)) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "class weight %lld of the loss of \"%s\" must be finite and above 0, "
                            "found %g",
                            (long long)j, output, weight);
        }
    }
    return MTF_OK;
}

mtf_status mtf_loss_check_settings(const mtf_loss_kind *kind, const char *output, int64_t n,
                                   const mtf_loss_settings *settings, mtf_error *err)
{
    const mtf_loss_settings *usual = &MTF_LOSS_DEFAULTS;
    const int changed =
        (settings->class_weights != NULL ? MTF_READS_CLASS_WEIGHTS : 0) |
        (settings->label_smoothing != 0 ? MTF_READS_LABEL_SMOOTHING : 0) |
        (settings->focal != 0 ? MTF_READS_FOCAL : 0) |
        (settings->temperature != usual->temperature || settings->soft_share != usual->soft_share
             ? MTF_READS_SOFT
             : 0);
    if ((changed & ~kind->settings) != 0) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss \"%s\" of \"%s\" reads fewer settings than were given; leave "
                        "those of other losses at their defaults",
                        kind->name, output);
    }
    MTF_TRY(check_number(output, "label_smoothing", settings->label_smoothing, 1, err));
    MTF_TRY(check_number(output, "focal", settings->focal, 101, err));
    if (settings->focal > 0 && settings->label_smoothing > 0) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss of \"%s\" takes label_smoothing or focal, found both", output);
    }
    if (!(settings->temperature > 0) || !isfinite(settings->temperature)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "temperature of the loss of \"%s\" must be finite and above 0, found %g",
                        output, settings->temperature);
    }
    if (!(settings->soft_share >= 0 && settings->soft_share <= 1)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "soft_share of the loss of \"%s\" must be from 0 to 1, found %g", output,
                        settings->soft_share);
    }
    return check_weights(output, n, settings, err);
}

mtf_status mtf_loss_check_rows(const char *output, const mtf_loss_rows *rows, int64_t width,
                               mtf_loss_row_check check_row, mtf_loss_counts *counts,
                               mtf_error *err)
{
    const mtf_real *targets = rows->targets;
    int64_t labelled = 0;
    for (int64_t i = 0; i < rows->m; i++) {
        const mtf_real *t = targets + i * width;
        if (!isnan(t[0])) {
            MTF_TRY(check_row(output, t, i, rows->n, err));
            labelled++;
        }
    }
    *counts = (mtf_loss_counts){.n_labelled = labelled, .divisor = (double)labelled};
    return MTF_OK;
}
