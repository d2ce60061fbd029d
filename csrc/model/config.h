/* config.h: typed keys and values that families and heads read (config.json, head options).
 *
 * Getters take the default for an absent key and fail, naming key and found type, for a wrong one.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_CONFIG_H
#define MTF_MODEL_CONFIG_H

#include "../include/mtfreeze.h"

typedef enum mtf_config_type {
    MTF_CONFIG_INT,
    MTF_CONFIG_REAL,
    MTF_CONFIG_BOOL,
    MTF_CONFIG_TEXT,
    MTF_CONFIG_INTS
} mtf_config_type;

MTF_NODISCARD mtf_config *mtf_config_copy(const mtf_config *config); /* NULL: out of memory */
int mtf_config_has(const mtf_config *config, const char *key);
/* A whole number in lo..hi; a missing key is an error unless `required` is 0 (then *value stays). */
MTF_NODISCARD mtf_status mtf_config_get_int(const mtf_config *config, const char *key, int64_t lo,
                                            int64_t hi, int required, int64_t *value,
                                            mtf_error *err);
/* A number (whole numbers count) in lo..hi; *value stays when absent. */
MTF_NODISCARD mtf_status mtf_config_get_real(const mtf_config *config, const char *key, double lo,
                                             double hi, double *value, mtf_error *err);
/* What a norm adds to a variance: above 0, so that a row of equal values has a norm; at most 1. */
MTF_NODISCARD mtf_status mtf_config_get_eps(const mtf_config *config, const char *key,
                                            double *value, mtf_error *err);
MTF_NODISCARD mtf_status mtf_config_get_bool(const mtf_config *config, const char *key, int *value,
                                             mtf_error *err);
/* Borrowed until the config changes; *value stays when absent. */
MTF_NODISCARD mtf_status mtf_config_get_text(const mtf_config *config, const char *key,
                                             const char **value, mtf_error *err);
MTF_NODISCARD mtf_status mtf_config_get_ints(const mtf_config *config, const char *key,
                                             const int64_t **values, size_t *n, mtf_error *err);

#endif
