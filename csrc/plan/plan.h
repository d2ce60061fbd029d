/* plan.h: what runs for one choice of frozen parts and wanted outputs; the only place that knows
 * what freezing means.
 *
 * csrc/plan holds everything between a program and its execution: plans, checked batches, memory,
 * running, prices. object/ and train/ call it; it calls model/ and below and knows neither losses nor
 * updates.
 *
 * A plan is a pure function of (program, freeze state, request); the freeze state is the network's,
 * or one that the request brings, so that a choice can be priced without being made. It lists the forward steps, the
 * backward steps, what is kept between them and where every tensor lies: in the caller's memory, in
 * the arena kept for backward (*saved*), or in a worker's own scratch (*temporary*, reused as soon
 * as nobody reads it). Sizes are per row, so a plan serves every batch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PLAN_PLAN_H
#define MTF_PLAN_PLAN_H

#include "../model/network.h"

typedef struct mtf_request {
    int training;  /* 1: gradients arrive at the outputs; 0: outputs are written to the caller */
    int dropout;   /* 0: dropout off everywhere, also in what trains */
    int precision; /* as mtf_model_forward(); training: a mtf_precision */
    int save_bf16; /* training: what is kept for backward is rounded to bfloat16 */
    size_t n_outputs;
    const mtf_tensor_id *outputs;
    size_t n_given;
    const mtf_tensor_id *given;    /* outputs whose values come with the batch: what only they need
                                   does not run. Those that nothing reads are passed over. */
    const mtf_freeze_mask *frozen; /* NULL: what is frozen in the network */
} mtf_request;

typedef enum mtf_store {
    MTF_STORE_NONE,     /* not computed, or computed and not kept (auxiliary values) */
    MTF_STORE_CALLER,   /* an inference output; slot = its position in the request */
    MTF_STORE_FEATURE,  /* given with the batch; slot = its position in the request */
    MTF_STORE_SAVED,    /* kept for backward, over the whole micro-batch */
    MTF_STORE_HALF,     /* the same in bfloat16; forward has it in scratch first, as a temporary */
    MTF_STORE_TEMPORARY /* scratch of one worker, over one block of sequences */
} mtf_store;

typedef struct mtf_place {
    mtf_store store;
    int32_t slot;
} mtf_place;

/* One region of an arena: `width` elements for each row of `space`. early: what lies there is made and
 * read by early steps alone. */
typedef struct mtf_region {
    int32_t space;
    int32_t early;
    int64_t width;
} mtf_region;

typedef struct mtf_arena {
    mtf_region *regions;
    int32_t n_regions, capacity;
} mtf_arena;

typedef struct mtf_step {
    int32_t node;
    mtf_tensor_id in[MTF_MAX_IN]; /* with removed dropout nodes looked through */
    int in_prefix;                /* forward: lies in the frozen prefix */
    int dropout_on;
    mtf_precision precision[MTF_MAX_WEIGHTS]; /* forward: of the products with each weight */
    uint32_t first_use; /* bits of the factors that no earlier step of its list
                                                 reads: forms are asked for once */
    mtf_need need;      /* backward */
    mtf_save save;      /* backward: what it reads */
    int din_add[MTF_MAX_IN];
} mtf_step;

typedef struct mtf_plan {
    uint64_t freeze_version; /* these three and the request: what the plan was made for */
    int training, dropout, precision, save_bf16;
    mtf_tensor_id *outputs;  /* as asked */
    mtf_tensor_id *resolved; /* with removed dropout nodes looked through */
    size_t n_outputs;
    mtf_tensor_id *given; /* as asked */
    size_t n_given;
    const mtf_program *program;
    mtf_step *forward, *backward;
    int32_t n_forward, n_backward;
    /* The first so many forward steps are on grids so large that few images at a time stay in a cache,
     * and with weights so small that they do with few. */
    int32_t n_early;
    mtf_tensor_id *alias;    /* (n_tensors) the tensor that is read in its stead */
    mtf_tensor_id *boundary; /* what the frozen prefix hands on: to steps above it, or as output */
    int32_t n_boundary;
    mtf_place *place;      /* (n_tensors) */
    unsigned char *narrow; /* (n_tensors) 1: a temporary that lies in bfloat16 */
    int32_t *scratch;   /* (n_tensors) region of the temporary arena of what is kept in bfloat16 */
    int32_t *grad_slot; /* (n_tensors) region of the gradient arena, -1: none */
    mtf_arena saved, halves, temporary, gradients; /* halves: of 16-bit elements */
    uint32_t spaces;                               /* bit s: a forward step has rows of space s */
    int64_t n_trainable;                           /* values of what the freeze state lets train */
    int streams; /* 1: a forward step has a product with a large weight */
    int splits;  /* 0: an operation couples the batch, so it is one block */
} mtf_plan;

/* MTF_ERR_VALUE: in training, a given tensor that is read has something trainable below it. */
MTF_NODISCARD mtf_status mtf_plan_new(const mtf_network *network, uint64_t freeze_version,
                                      const mtf_request *request, mtf_plan **plan, mtf_error *err);
void mtf_plan_free(mtf_plan *plan);
/* Calls `visit` once for every packed form that the plan's runs read. (forms.c) */
void mtf_plan_forms(const mtf_plan *plan, void *context,
                    void (*visit)(void *context, int32_t param, mtf_use use,
                                  mtf_precision precision));
/* Whether a plan is what a request asks for; both of the network's own freeze state. */
int mtf_plan_matches(const mtf_plan *plan, uint64_t freeze_version, const mtf_request *request);

/* Name of the output that boundary tensor `b` is; NULL: it has none, so it cannot be given. */
const char *mtf_plan_boundary_name(const mtf_plan *plan, int32_t b);
/* (features.c) The outputs (n of at most MTF_MAX_FEATURES) that stand for the boundary: each boundary tensor that has
 * a name, and what the others are made of, as high as there are names; n 0: nothing can stand for it. */
MTF_NODISCARD mtf_status mtf_plan_features(const mtf_plan *plan, size_t *n, const char **names,
                                           mtf_error *err);
/* mtf_real elements of an arena for `rows` of each space (regions rounded up to cache lines), early_rows
 * in early regions; fills `starts` (n_regions) if not NULL. */
size_t mtf_arena_layout(const mtf_arena *arena, const int64_t *rows, const int64_t *early_rows,
                        size_t *starts);
/* Largest `work` of the plan's forward (0) or backward (1) operations, in elements. */
size_t mtf_plan_work(const mtf_plan *plan, const mtf_extent *extent, int backward);
/* Sets what the cut into blocks goes by: `streams`, `n_early`. (blocks.c) */
void mtf_plan_mark_blocks(mtf_plan *plan);
/* Sets `first_use` of all steps; 0: out of memory. (forms.c) */
int mtf_plan_mark_forms(mtf_plan *plan);
/* Which of the tensors that a backward step reads are kept in bfloat16. */
mtf_save mtf_plan_halves(const mtf_plan *plan, const mtf_step *step);
/* Elements that the tensors kept in bfloat16 which one backward step reads take when widened. */
size_t mtf_plan_widened(const mtf_plan *plan, const mtf_extent *extent);
/* Largest `shared` of the plan's backward operations, in elements. */
size_t mtf_plan_shared(const mtf_plan *plan, const mtf_extent *extent);

#endif
