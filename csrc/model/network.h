/* network.h: one backbone and its heads: the program, and the parameters' masters.
 *
 * The masters of the backbone lie in one piece of memory, those of each head in one of its own
 * (values.h), so addresses hold as long as the head; longer where somebody holds them. Adding or
 * removing a head builds the program anew from the configurations and carries parameters over by key.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_NETWORK_H
#define MTF_MODEL_NETWORK_H

#include "config.h"
#include "program.h"
#include "registry.h"
#include "values.h"

struct mtf_family;

/* Gradient and moments exist only while the parameter trains; train/ makes and drops them. */
typedef struct mtf_param {
    mtf_real *data;     /* (shape) of its definition, like the three below */
    mtf_values *values; /* that `data` lies in; the network's or its head's */
    mtf_weight handle;
    int frozen;
    mtf_precision precision; /* of its products while it is frozen */
    int reached;             /* the gradient holds a value of the step under way */
    mtf_real *gradient, *moment1, *moment2;
    mtf_real *found;    /* of statistics that move: those of the step under way, */
    int is_found;       /* once its forward has been; */
    int stands;         /* and whether a mask froze them */
    double moment_most; /* no value of moment1 is further from zero */
    uint8_t *rows;      /* (shape[0]) states of its rows, see ops.h; NULL: not reached by rows */
    int64_t n_steps;
} mtf_param;

typedef struct mtf_head {
    char *name;
    const mtf_head_kind *kind;
    mtf_config *config;
    int frozen;         /* its own flag, for a head without parameters too */
    mtf_values *values; /* of its parameters */
} mtf_head;

typedef struct mtf_network {
    const struct mtf_family *family;
    mtf_config *config;
    mtf_program *program;
    mtf_values *values; /* of the backbone's parameters */
    mtf_param *params;  /* program->n_params, same indexes */
    mtf_head *heads;
    int32_t n_heads;
    mtf_config *adapter;              /* NULL: none */
    mtf_values *adapter_values;       /* of its parameters */
    int32_t adapter_first, n_adapter; /* their indexes: behind the backbone's, before the heads' */
} mtf_network;

/* The whole program of a backbone, `adapter` (NULL: none) and its heads, of which only name, kind and
 * config are read. */
MTF_NODISCARD mtf_status mtf_network_program(const struct mtf_family *family,
                                             const mtf_config *config, const mtf_config *adapter,
                                             const mtf_head *heads, int32_t n_heads,
                                             mtf_program **program, mtf_error *err);
/* The backbone that `family` builds from `config`. */
MTF_NODISCARD mtf_status mtf_network_new(const struct mtf_family *family, const mtf_config *config,
                                         mtf_network **network, mtf_error *err);
void mtf_network_free(mtf_network *network);
/* Frees what a head owns. */
void mtf_head_clear(mtf_head *head);
/* Frees gradient and moments, if any. */
void mtf_param_drop_state(mtf_param *param);
/* Every row of parameter `index` counts as reached, if its rows are told apart. */
void mtf_network_reach_rows(const mtf_network *network, size_t index);
/* NULL: there is no head of that name. */
const mtf_head *mtf_network_find_head(const mtf_network *network, const char *name);
/* On failure the network is as before. */
MTF_NODISCARD mtf_status mtf_network_add_head(mtf_network *network, const char *name,
                                              const mtf_config *config, uint64_t seed,
                                              mtf_error *err);
/* `first` and `n`: the range of parameter indexes that went away. */
MTF_NODISCARD mtf_status mtf_network_remove_head(mtf_network *network, const char *name,
                                                 int32_t *first, int32_t *n, mtf_error *err);
/* Adds the adapter of `config` (adapter.h), or with NULL removes the one that there is; heads, all other
 * parameters and their state stay. On failure the network is as before. */
MTF_NODISCARD mtf_status mtf_network_set_adapter(mtf_network *network, const mtf_config *config,
                                                 uint64_t seed, mtf_error *err);
/* Whether a parameter is frozen by `mask`; NULL: in the network itself. */
int mtf_network_param_frozen(const mtf_network *network, const mtf_freeze_mask *mask,
                             int32_t param);
/* Whether statistics, which are no parameters to train, stand still, too: by the mask, or with all else
 * in their unit. */
int mtf_network_stands(const mtf_network *network, const mtf_freeze_mask *mask, int32_t param);
/* 1: every parameter of the unit is; a head also by its own flag when it has none. */
int mtf_network_unit_frozen(const mtf_network *network, const mtf_freeze_mask *mask, int32_t unit);

#endif
