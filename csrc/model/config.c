/* config.c: a small list of typed keys; looked up linearly, since a configuration has some dozens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <math.h>
#include <string.h>

typedef struct entry {
    char *key;
    mtf_config_type type;
    int64_t whole;
    double real;
    char *text;
    int64_t *ints;
    size_t n_ints;
} entry;

struct mtf_config {
    entry *entries;
    size_t n, capacity;
};

static const char *const type_names[] = {"a whole number", "a number", "true or false", "a text",
                                         "a list of whole numbers"};

mtf_config *mtf_config_new(void)
{
    return mtf_alloc_zero(sizeof(mtf_config));
}

static void entry_clear(entry *e)
{
    mtf_free(e->key);
    mtf_free(e->text);
    mtf_free(e->ints);
    memset(e, 0, sizeof *e);
}

void mtf_config_free(mtf_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->n; i++) {
        entry_clear(&config->entries[i]);
    }
    mtf_free(config->entries);
    mtf_free(config);
}

static entry *find(const mtf_config *config, const char *key)
{
    for (size_t i = 0; i < config->n; i++) {
        if (strcmp(config->entries[i].key, key) == 0) {
            return &config->entries[i];
        }
    }
    return NULL;
}

/* Takes over what `fresh` owns, also when it fails. */
static mtf_status put(mtf_config *config, const char *key, entry *fresh)
{
    entry *old = find(config, key);
    fresh->key = mtf_alloc_text(key);
    if (fresh->key == NULL) {
        goto fail;
    }
    if (old != NULL) {
        entry_clear(old);
        *old = *fresh;
        return MTF_OK;
    }
    if (config->n == config->capacity) {
        size_t capacity = config->capacity ? 2 * config->capacity : 32;
        entry *grown = mtf_realloc(config->entries, capacity * sizeof(entry));
        if (grown == NULL) {
            goto fail;
        }
        config->entries = grown;
        config->capacity = capacity;
    }
    config->entries[config->n++] = *fresh;
    return MTF_OK;
fail:
    entry_clear(fresh);
    return MTF_ERR_MEMORY;
}

mtf_status mtf_config_set_int(mtf_config *config, const char *key, int64_t value)
{
    entry e = {.type = MTF_CONFIG_INT, .whole = value, .real = (double)value};
    return put(config, key, &e);
}

mtf_status mtf_config_set_real(mtf_config *config, const char *key, double value)
{
    entry e = {.type = MTF_CONFIG_REAL, .real = value};
    return put(config, key, &e);
}

mtf_status mtf_config_set_bool(mtf_config *config, const char *key, int value)
{
    entry e = {.type = MTF_CONFIG_BOOL, .whole = value != 0};
    return put(config, key, &e);
}

mtf_status mtf_config_set_text(mtf_config *config, const char *key, const char *value)
{
    entry e = {.type = MTF_CONFIG_TEXT, .text = mtf_alloc_text(value)};
    return e.text == NULL ? MTF_ERR_MEMORY : put(config, key, &e);
}

mtf_status mtf_config_set_ints(mtf_config *config, const char *key, const int64_t *values, size_t n)
{
    entry e = {.type = MTF_CONFIG_INTS, .n_ints = n};
    e.ints = mtf_alloc_array(n ? n : 1, sizeof(int64_t));
    if (e.ints == NULL) {
        return MTF_ERR_MEMORY;
    }
    if (n > 0) {
        memcpy(e.ints, values, n * sizeof(int64_t));
    }
    return put(config, key, &e);
}

mtf_config *mtf_config_copy(const mtf_config *config)
{
    mtf_config *copy = mtf_config_new();
    mtf_status status = copy == NULL ? MTF_ERR_MEMORY : MTF_OK;
    for (size_t i = 0; status == MTF_OK && i < config->n; i++) {
        const entry *e = &config->entries[i];
        switch (e->type) {
        case MTF_CONFIG_INT:
            status = mtf_config_set_int(copy, e->key, e->whole);
            break;
        case MTF_CONFIG_REAL:
            status = mtf_config_set_real(copy, e->key, e->real);
            break;
        case MTF_CONFIG_BOOL:
            status = mtf_config_set_bool(copy, e->key, e->whole != 0);
            break;
        case MTF_CONFIG_TEXT:
            status = mtf_config_set_text(copy, e->key, e->text);
            break;
        case MTF_CONFIG_INTS:
            status = mtf_config_set_ints(copy, e->key, e->ints, e->n_ints);
            break;
        }
    }
    if (status != MTF_OK) {
        mtf_config_free(copy);
        return NULL;
    }
    return copy;
}

int mtf_config_has(const mtf_config *config, const char *key)
{
    return find(config, key) != NULL;
}

static mtf_status wrong_type(const entry *e, mtf_config_type wanted, mtf_error *err)
{
    return mtf_fail(
        err, MTF_ERR_CONFIG,
        "configuration key \"%s\" must be %s, found %s; correct it in the configuration", e->key,
        type_names[wanted], type_names[e->type]);
}

mtf_status mtf_config_get_int(const mtf_config *config, const char *key, int64_t lo, int64_t hi,
                              int required, int64_t *value, mtf_error *err)
{
    const entry *e = find(config, key);
    if (e == NULL) {
        return !required
                   ? MTF_OK
                   : mtf_fail(err, MTF_ERR_CONFIG,
                              "configuration key \"%s\" is missing; the model cannot be built "
                              "without it, add it to the configuration",
                              key);
    }
    if (e->type != MTF_CONFIG_INT) {
        return wrong_type(e, MTF_CONFIG_INT, err);
    }
    if (e->whole < lo || e->whole > hi) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "configuration key \"%s\" must lie in %lld..%lld, found %lld", key,
                        (long long)lo, (long long)hi, (long long)e->whole);
    }
    *value = e->whole;
    return MTF_OK;
}

mtf_status mtf_config_get_real(const mtf_config *config, const char *key, double lo, double hi,
                               double *value, mtf_error *err)
{
    const entry *e = find(config, key);
    if (e == NULL) {
        return MTF_OK;
    }
    if (e->type != MTF_CONFIG_REAL && e->type != MTF_CONFIG_INT) {
        return wrong_type(e, MTF_CONFIG_REAL, err);
    }
    if (!(e->real >= lo && e->real <= hi)) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "configuration key \"%s\" must lie in %g..%g, found %g", key, lo, hi,
                        e->real);
    }
    *value = e->real;
    return MTF_OK;
}

mtf_status mtf_config_get_eps(const mtf_config *config, const char *key, double *value,
                              mtf_error *err)
{
    return mtf_config_get_real(config, key, 1e-30, 1, value, err);
}

mtf_status mtf_config_get_bool(const mtf_config *config, const char *key, int *value,
                               mtf_error *err)
{
    const entry *e = find(config, key);
    if (e == NULL) {
        return MTF_OK;
    }
    if (e->type != MTF_CONFIG_BOOL) {
        return wrong_type(e, MTF_CONFIG_BOOL, err);
    }
    *value = e->whole != 0;
    return MTF_OK;
}

mtf_status mtf_config_get_text(const mtf_config *config, const char *key, const char **value,
                               mtf_error *err)
{
    const entry *e = find(config, key);
    if (e == NULL) {
        return MTF_OK;
    }
    if (e->type != MTF_CONFIG_TEXT) {
        return wrong_type(e, MTF_CONFIG_TEXT, err);
    }
    *value = e->text;
    return MTF_OK;
}

mtf_status mtf_config_get_ints(const mtf_config *config, const char *key, const int64_t **values,
                               size_t *n, mtf_error *err)
{
    const entry *e = find(config, key);
    if (e == NULL) {
        return MTF_OK;
    }
    if (e->type != MTF_CONFIG_INTS) {
        return wrong_type(e, MTF_CONFIG_INTS, err);
    }
    *values = e->ints;
    *n = e->n_ints;
    return MTF_OK;
}
