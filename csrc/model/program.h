/* program.h: what a backbone and its heads compute: a flat list of nodes over described tensors.
 *
 * csrc/model holds what a model is made of: configurations, programs, what builders of programs
 * share, and the network with its parameters. families/ and heads/ build with it, everything above
 * reads it; it reaches them through the generated table (registry.h) and calls ops/ and below.
 *
 * A family builds it by calls that return tensor ids. The first failure sticks: later calls return
 * MTF_NO_TENSOR and do nothing, and mtf_program_finish() reports it, so builders need no checks.
 * Calls are made in an order in which every tensor exists before it is read.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_PROGRAM_H
#define MTF_MODEL_PROGRAM_H

#include "../ops/ops.h"

#define MTF_NO_TENSOR (-1)
#define MTF_NO_UNIT   (-1)

typedef int32_t mtf_tensor_id;

typedef enum mtf_role { MTF_ROLE_INPUT, MTF_ROLE_ACTIVATION } mtf_role;

typedef struct mtf_tensor {
    mtf_role role;
    char *name;    /* inputs: the name batches use; activations: NULL */
    int32_t space; /* index of its row space */
    int64_t width;
    int64_t parts; /* equal groups of its columns, each an answer of its own; 0: it is one */
    int is_ids; /* input of int32 ids, each in 0 .. limit - 1; other inputs are rows of mtf_real */
    int64_t limit;
    int optional;    /* input that a batch may leave out: zeros */
    int32_t rows_of; /* ids that are rows within their sequence of this space; 0: they are not */
    int32_t node;    /* the node that makes it; -1 for inputs */
} mtf_tensor;

/* How a fresh parameter is filled. */
typedef enum mtf_init { MTF_INIT_ZERO, MTF_INIT_ONE, MTF_INIT_UNIFORM } mtf_init;

/* What a training step makes of statistics that are not frozen: nothing, a part of the way to those
 * that it found, or one more. */
typedef enum mtf_motion { MTF_STANDS, MTF_FOLLOWS, MTF_COUNTS } mtf_motion;

typedef struct mtf_param_def {
    char *key;
    int32_t unit;
    int32_t n_dims;
    int64_t shape[MTF_MAX_DIMS];
    int64_t size;
    mtf_layout layout;
    int decays;
    int is_buffer;      /* has no gradient: statistics */
    mtf_motion motion;  /* of a buffer */
    double momentum;    /* MTF_FOLLOWS: the share of what a step found */
    int32_t moves_with; /* the parameter that says whether it is frozen */
    int in_products; /* a node multiplies by it; a table that is looked up, or a vector, is none */
    mtf_init init;
    double init_bound; /* MTF_INIT_UNIFORM: values in [-bound, bound) */
    char **aliases;
    int32_t n_aliases, capacity_aliases;
} mtf_param_def;

typedef struct mtf_unit_def {
    char *path;
    int is_head;
    int32_t first_param, n_params;
} mtf_unit_def;

/* Windows over a grid, kernel x kernel rows each, a stride apart, over a border of padding. */
typedef struct mtf_grid_window {
    int64_t kernel, stride, padding;
    int ceil; /* a last window that leaves the padded grid counts if it begins before the border behind */
} mtf_grid_window;

typedef struct mtf_space_def {
    char *name;
    int64_t max_length;      /* longest sequence it takes */
    int of_heads;            /* heads declared it: sequences may have no rows */
    int64_t row_cost;        /* rows of a micro-batch's budget that a row counts as, at least 1 */
    int64_t rows_per_token;  /* rows that count as one of the budget: of pixels there are many */
    int joins_next;          /* a sequence with a row is never parted from the next one */
    int is_grid;             /* rows are those of a picture, row by row */
    int64_t height, width;   /* the one grid it takes; 0: any */
    int32_t of;              /* the space that its rows follow from; 0: they stand for themselves */
    mtf_grid_window windows; /* of a grid: one row for each of them over `of` */
    int64_t extra;           /* of what is no grid: rows more than `of` has */
    int64_t fixed;           /* every sequence has so many rows; 0: they differ */
} mtf_space_def;

/* When a node runs: of two that make one tensor, one does. */
typedef enum mtf_when {
    MTF_ALWAYS,
    MTF_WHILE_MOVING,  /* in a training step that moves its statistics */
    MTF_WHILE_STANDING /* in inference, and where they are frozen */
} mtf_when;

typedef struct mtf_node {
    const mtf_op *op;
    mtf_when when;
    int32_t statistics; /* parameter; read unless MTF_ALWAYS */
    int32_t unit;       /* MTF_NO_UNIT: no parameters and no dropout of its own (pooling) */
    int32_t host; /* the unit whose computation it is part of: `unit`, but for an adapter's node */
    char *label;
    mtf_tensor_id in[MTF_MAX_IN], out[MTF_MAX_OUT], aux[MTF_MAX_AUX];
    int32_t weight[MTF_MAX_WEIGHTS]; /* parameter indexes, -1: absent */
    mtf_node_shape shape;
} mtf_node;

typedef struct mtf_named_output {
    char *name;
    mtf_tensor_id tensor;
} mtf_named_output;

typedef struct mtf_program {
    mtf_tensor *tensors; /* the first n_inputs are the inputs */
    mtf_param_def *params;
    mtf_unit_def *units;
    mtf_space_def *spaces;
    mtf_node *nodes;
    mtf_named_output *outputs;
    int32_t n_tensors, n_params, n_units, n_spaces, n_nodes, n_outputs, n_inputs;
    int32_t capacity_tensors, capacity_params, capacity_units, capacity_spaces, capacity_nodes,
        capacity_outputs;
    int32_t current_unit;
    int32_t
        lead_rows; /* first rows of a sequence that stand for no part of it (class tokens of pictures):
                          poolings leave them out, but for that of the first row */
    mtf_error failure; /* the first one */
} mtf_program;

MTF_NODISCARD mtf_program *mtf_program_new(void); /* NULL: out of memory */
void mtf_program_free(mtf_program *program);
/* Status and message of the first failed call. */
MTF_NODISCARD mtf_status mtf_program_finish(const mtf_program *program, mtf_error *err);
/* Lets a builder record a failure of its own. */
void mtf_program_fail(mtf_program *program, mtf_status code, const char *text);

/* Makes room for one more element, zero, of a list that has n; `list` is where its pointer stands. 0
 * and a recorded failure when memory is short, or after an earlier failure. */
int mtf_program_grow(mtf_program *program, void *list, int32_t n, int32_t *capacity, size_t size);
#define MTF_GROW(p, what)                                                                          \
    mtf_program_grow(p, &(p)->what, (p)->n_##what, &(p)->capacity_##what, sizeof *(p)->what)

/* ---- declaring ---- */
/* A row space; "sequences" (one row a sequence) is always space 0. */
int32_t mtf_program_space(mtf_program *program, const char *name, int64_t max_length);
/* The row space of that name that heads share: the first one declares it. A sequence may have no rows
 * in it; a batch without offsets for it has none. max_length 0: that of the space it is picked from. */
int32_t mtf_program_space_of_heads(mtf_program *program, const char *name, int64_t max_length);
/* A row space whose sequences are grids, row by row; and one that takes only this grid. (spaces.c) */
int32_t mtf_program_grid(mtf_program *program, const char *name, int64_t max_length);
int32_t mtf_program_grid_exact(mtf_program *program, const char *name, int64_t height,
                               int64_t width);
/* So many rows of a space, and of all that follow from it from now on, count as one of a budget. */
void mtf_program_rows_per_token(mtf_program *program, int32_t space, int64_t rows);
/* The grid of windows over the grid `of`; and what has `extra` rows more than the space `of`. */
int32_t mtf_program_grid_after(mtf_program *program, const char *name, int32_t of,
                               mtf_grid_window windows);
int32_t mtf_program_space_after(mtf_program *program, const char *name, int32_t of, int64_t extra);
/* A row space in which every sequence has so many rows. */
int32_t mtf_program_space_fixed(mtf_program *program, const char *name, int64_t rows);
/* Windows along a side that long; below 1: none fits. */
int64_t mtf_grid_side(const mtf_grid_window *windows, int64_t side);
/* Inputs, declared before the first node: one id a row of the space, or `width` floats. */
mtf_tensor_id mtf_program_input_ids(mtf_program *program, const char *name, int32_t space,
                                    int64_t limit, int optional);
mtf_tensor_id mtf_program_input_rows(mtf_program *program, const char *name, int32_t space,
                                     int64_t width);
/* What follows belongs to this unit, until the next call; MTF_NO_UNIT by mtf_program_end_unit. A path
 * of before continues its unit, with the parameters that it has: a unit that a backbone applies
 * several times is one, its gradients add up over its uses. */
void mtf_program_unit(mtf_program *program, const char *path, int is_head);
void mtf_program_end_unit(mtf_program *program);
/* Index of a new parameter of the current unit; declared before (same key): that one, which ties
 * them. shape (n_dims). `decays`: whether weight decay applies by default. */
int32_t mtf_program_param(mtf_program *program, const char *key, int32_t n_dims,
                          const int64_t *shape, mtf_layout layout, int decays, mtf_init init,
                          double init_bound);
/* A parameter that counts as frozen always, (n) values: no gradient, no moments, no decay. */
int32_t mtf_program_buffer(mtf_program *program, const char *key, int64_t n, mtf_init init);
/* A buffer that training steps move while neither `moves_with` (-1: it itself) nor all else in its unit
 * is frozen; `momentum` 0: it counts them. */
int32_t mtf_program_statistic(mtf_program *program, const char *key, int64_t n, mtf_init init,
                              double momentum, int32_t moves_with);
/* Another key of a parameter; freezing either freezes it. */
void mtf_program_alias(mtf_program *program, int32_t param, const char *key);
void mtf_program_output(mtf_program *program, const char *name, mtf_tensor_id tensor);
/* Losses of the tensor see so many answers side by side, each of width / parts columns. */
void mtf_program_parts(mtf_program *program, mtf_tensor_id tensor, int64_t parts);

/* ---- finding ---- */
mtf_tensor_id mtf_program_find_input(const mtf_program *program, const char *name);
mtf_tensor_id mtf_program_find_output(const mtf_program *program, const char *name);
/* Name of an output that is this tensor; NULL: none is. */
const char *mtf_program_output_name(const mtf_program *program, mtf_tensor_id tensor);
/* Marks in `constant` (n_tensors) what is made of no input, such as rows of a table for every sequence:
 * the same for all batches of these sizes. */
void mtf_program_mark_constant(const mtf_program *program, unsigned char *constant);
int32_t mtf_program_find_param(const mtf_program *program, const char *key);
/* The table that the first embedding looks words up in; -1: there is none. */
int32_t mtf_program_word_table(const mtf_program *program);

/* ---- nodes (program_nodes.c); `label` names them in messages and dropout draws ---- */
/* position_pad -1: row i of a sequence has position_offset + i as its position. Else: position_pad + 1
 * + how many rows before it have another id than position_pad; a row of that id has position_pad.
 * `position` and `type` are -1 where a model has no such table. */
mtf_tensor_id mtf_node_embedding(mtf_program *program, const char *label, mtf_tensor_id ids,
                                 mtf_tensor_id types, int32_t word, int32_t position, int32_t type,
                                 int32_t position_offset, int32_t position_pad);
/* n (1 to 3) layers that read the same rows; x's products into out (n). An activation goes with one
 * layer only, which mtf_node_linear() makes and returns. */
void mtf_node_linears(mtf_program *program, const char *label, mtf_tensor_id x, int n,
                      const int32_t *weights, const int32_t *biases, mtf_activation activation,
                      mtf_tensor_id *out);
mtf_tensor_id mtf_node_linear(mtf_program *program, const char *label, mtf_tensor_id x,
                              int32_t weight, int32_t bias, mtf_activation activation);
/* bias -1: none. `sum` NULL, or receives the tensor x + residual (x itself without a residual). */
mtf_tensor_id mtf_node_layernorm(mtf_program *program, const char *label, mtf_tensor_id x,
                                 mtf_tensor_id residual, int32_t weight, int32_t bias, double eps,
                                 mtf_tensor_id *sum);
/* The same without mean and bias: each group of D columns, D the weight's size, by itself; its factor
 * is weight_offset + weight. */
mtf_tensor_id mtf_node_rmsnorm(mtf_program *program, const char *label, mtf_tensor_id x,
                               mtf_tensor_id residual, int32_t weight, double eps,
                               double weight_offset, mtf_tensor_id *sum);
mtf_tensor_id mtf_node_add(mtf_program *program, const char *label, mtf_tensor_id a,
                           mtf_tensor_id b);
/* act(a) * b. b MTF_NO_TENSOR: a holds both halves; the first is activated, with gate_last the
 * second. */
mtf_tensor_id mtf_node_gated(mtf_program *program, const char *label, mtf_tensor_id a,
                             mtf_tensor_id b, mtf_activation activation, int gate_last);
/* The first n_rotated heads of head_width columns turned by their place in the sequence, each in its
 * first rotary_width columns; what follows is copied. */
mtf_tensor_id mtf_node_rotary(mtf_program *program, const char *label, mtf_tensor_id x,
                              int32_t n_rotated, int64_t head_width, int64_t rotary_width,
                              double theta);
typedef struct mtf_attention_spec {
    int32_t n_heads, n_kv_heads; /* of queries; of keys and values, 0: as many */
    int64_t head_width;          /* 0: width / heads */
    int64_t left, right;  /* keys seen before and after a query's place; -1: all. Causal: right 0 */
    double scale, rate;   /* of the products; of dropping probabilities */
    int32_t relative;     /* parameter (buckets, n_heads) of the relative bias, or -1 */
    int64_t max_distance; /* of it: all larger distances share a bucket */
} mtf_attention_spec;
/* k and v MTF_NO_TENSOR: q is [q|k|v]. */
mtf_tensor_id mtf_node_attention(mtf_program *program, const char *label, mtf_tensor_id q,
                                 mtf_tensor_id k, mtf_tensor_id v, const mtf_attention_spec *spec);
/* Rows (2 span, C) of `table` by the place of a row of `ids` in its sequence; max_distance 0: a row for
 * each distance. */
mtf_tensor_id mtf_node_distance_rows(mtf_program *program, const char *label, mtf_tensor_id ids,
                                     int32_t table, int64_t span, int64_t max_distance,
                                     int looks_back);
/* Where the rows of the grid `grid` stand in it, `width` wide (a multiple of 4). */
mtf_tensor_id mtf_node_sine_positions(mtf_program *program, const char *label, int32_t grid,
                                      int64_t width, double theta);
/* The rows of `table` (-1: zeros, `width` wide) for every sequence of `space`, which has a fixed number
 * of rows, that of the table. */
mtf_tensor_id mtf_node_repeat_rows(mtf_program *program, const char *label, int32_t table,
                                   int32_t space, int64_t width);
/* in (7): q, k, v, then rows of distances ahead and back that q is multiplied by, and those for k;
 * MTF_NO_TENSOR: a pair is absent. */
mtf_tensor_id mtf_node_disentangled(mtf_program *program, const char *label,
                                    const mtf_tensor_id *in, int32_t n_heads, double scale,
                                    double rate);
typedef struct mtf_convolution_spec {
    int64_t kernel, stride, padding;
    int32_t grid;         /* row space of the windows; such that these sides give its grids */
    int32_t weight, bias; /* (O, I, kernel, kernel) in MTF_LAYOUT_TAPS; (O) or -1 */
    int32_t norm_weight, norm_bias, mean,
        variance;    /* (O) of a batch norm by its statistics, or -1 */
    int by_batch;    /* 1: where they are not frozen, a training step goes by those of the batch, */
    int32_t count;   /* and this counts (1) the steps that moved the stored ones, */
    double momentum; /* by this share */
    double eps;      /* of the norm */
    mtf_activation activation; /* none, relu or relu6 */
    int same; /* borders as TensorFlow's SAME, where padding is half an odd kernel */
} mtf_convolution_spec;
/* act(norm(windows of x times weight) + residual); residual MTF_NO_TENSOR: none. A node that does all of
 * it, and with `by_batch` two more that take its place in training. */
mtf_tensor_id mtf_node_convolution(mtf_program *program, const char *label, mtf_tensor_id x,
                                   mtf_tensor_id residual, const mtf_convolution_spec *spec);
/* The same of each column by itself: weight (C, 1, kernel, kernel) in MTF_LAYOUT_OUT_IN, with a norm and
 * without a bias and a residual. */
mtf_tensor_id mtf_node_depthwise(mtf_program *program, const char *label, mtf_tensor_id x,
                                 const mtf_convolution_spec *spec);
/* By columns the largest value of each window; `grid` as above. */
mtf_tensor_id mtf_node_grid_max_pool(mtf_program *program, const char *label, mtf_tensor_id x,
                                     int64_t kernel, int64_t stride, int64_t padding, int32_t grid);
/* One row a sequence: the means of bins x bins parts of its grid, by column, then down and across. */
mtf_tensor_id mtf_node_adaptive_mean(mtf_program *program, const char *label, mtf_tensor_id x,
                                     int64_t bins);
/* rate 0: returns x, no node. */
mtf_tensor_id mtf_node_dropout(mtf_program *program, const char *label, mtf_tensor_id x,
                               double rate);
/* y + scale B A drop(x): `down` is A (r,K), `up` is B (N,r). */
mtf_tensor_id mtf_node_low_rank(mtf_program *program, const char *label, mtf_tensor_id y,
                                mtf_tensor_id x, int32_t down, int32_t up, double scale,
                                double rate);
/* Each column of x times its value of `factors` (C). */
mtf_tensor_id mtf_node_scale_columns(mtf_program *program, const char *label, mtf_tensor_id x,
                                     int32_t factors);
/* Rows of `tokens` (a space of [1 + distillation + registers] rows more than the grid of x): class token,
 * distillation token and registers (-1: absent), x with positions for a grid of height x width. */
typedef struct mtf_image_tokens_spec {
    int32_t tokens;
    int32_t cls, distillation, registers, positions; /* parameters */
    int64_t grid_height, grid_width;
    int32_t grid_lead; /* rows of `positions` before them */
    int antialias;
} mtf_image_tokens_spec;
mtf_tensor_id mtf_node_image_tokens(mtf_program *program, const char *label, mtf_tensor_id x,
                                    const mtf_image_tokens_spec *spec);
mtf_tensor_id mtf_node_activation(mtf_program *program, const char *label, mtf_tensor_id x,
                                  mtf_activation activation);
/* One vector a sequence; `skip`: ids in the space "sequences", how many first rows of each are left
 * out, or MTF_NO_TENSOR. */
mtf_tensor_id mtf_node_pool(mtf_program *program, const char *label, mtf_pooling pooling,
                            mtf_tensor_id x, mtf_tensor_id skip);
/* The columns of `parts` (n, at least 1) side by side; of one: itself, no node. */
mtf_tensor_id mtf_node_concat(mtf_program *program, const char *label, int n,
                              const mtf_tensor_id *parts);
/* The n layers (R,C) by the softmax of their numbers in `weight` (n), times `gamma` (1). */
mtf_tensor_id mtf_node_layer_mix(mtf_program *program, const char *label, int64_t n,
                                 const mtf_tensor_id *layers, int32_t weight, int32_t gamma);
/* Rows of x: for each row of `positions` (ids in a row space of heads, an input of which this becomes
 * the meaning) the one that stands there in its sequence. */
mtf_tensor_id mtf_node_pick(mtf_program *program, const char *label, mtf_tensor_id x,
                            mtf_tensor_id positions);
/* Scores of labels that follow each other, begin and end (transitions.c), from those of each row. */
mtf_tensor_id mtf_node_transitions(mtf_program *program, const char *label, mtf_tensor_id x,
                                   int32_t transitions, int32_t start, int32_t end);
/* [u, v, |u - v|] of x (one row a sequence) for each row of `pairs`, a space that joins sequences. */
mtf_tensor_id mtf_node_pair_features(mtf_program *program, const char *label, mtf_tensor_id x,
                                     int32_t pairs);
mtf_tensor_id mtf_node_normalize(mtf_program *program, const char *label, mtf_tensor_id x,
                                 double eps);

#endif
