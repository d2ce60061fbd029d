/* ops.h: what an operation is, and the operations there are.
 *
 * csrc/ops holds one operation a file. Programs (model/) name operations, plan/ runs and prices
 * them; they call blas/, kernels/ and base/ and know nothing of families, freezing or plans.
 *
 * An operation is one row of facts (mtf_op): checks its node when the program is built, says what
 * its backward pass reads, what it costs, and runs over a *span*, a range of whole sequences.
 * Forward runs on one worker over its span, or, where a batch is too small to give every worker a
 * span, over all of it on all workers; backward gets the whole micro-batch. These two cut the work
 * themselves (mtf_parallel_for), so that no bit depends on the number of workers. Neither can fail or
 * allocate.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_OPS_H
#define MTF_OPS_OPS_H

#include "../blas/packed.h"
#include "../include/mtfreeze.h"
#include "../kernels/kernels.h"

#define MTF_MAX_IN      8
#define MTF_MAX_OUT     3
#define MTF_MAX_AUX     2
#define MTF_MAX_WEIGHTS 6

/* The row space of one row a sequence; a span may leave its offsets NULL. */
#define MTF_SPACE_SEQUENCES 0

/* A bit of mtf_op.grids beside those of the inputs: the grids of its first output. */
#define MTF_GRID_OF_OUTPUT (1U << MTF_MAX_IN)

/* How far rows look: a row alone, its whole sequence, it and the next one (where a row space joins
 * them, they are never parted), or the whole batch (then no splitting). */
typedef enum mtf_locality {
    MTF_LOCAL_ROW,
    MTF_LOCAL_SEQUENCE,
    MTF_LOCAL_NEIGHBOURS,
    MTF_LOCAL_BATCH
} mtf_locality;

/* Ways from the rows of a sequence to one vector; those of one operation stand together. */
typedef enum mtf_pooling {
    MTF_POOL_MEAN,
    MTF_POOL_MEAN_SQRT_LEN,
    MTF_POOL_WEIGHTED_MEAN,
    MTF_POOL_FIRST,
    MTF_POOL_LAST,
    MTF_POOL_MAX
} mtf_pooling;

/* Options of a node; each operation reads its own. */
typedef struct mtf_attrs {
    mtf_activation
        activation; /* linear, gated, activation; convolution, depthwise, batch_norm: none, relu, relu6 */
    mtf_layout layout;      /* linear */
    mtf_real eps;           /* layernorm, rmsnorm, normalize, convolution, batch_norm */
    mtf_real weight_offset; /* rmsnorm: added to the weight */
    int32_t gate_last;      /* gated: of two halves the second is activated */
    int32_t n_rotated;      /* rotary: heads that are turned, */
    int64_t rotary_width;   /* and how many of these are turned */
    double theta;           /* rotary, sine_positions: the base of the wavelengths */
    mtf_real rate;          /* dropout, attention, low_rank: probability of dropping */
    mtf_real scale;         /* attention, low_rank */
    int32_t n_heads;        /* attention */
    int32_t n_kv_heads;     /* attention: heads of k and v; 0: n_heads */
    int64_t head_width;     /* attention; 0: width of q / n_heads */
    int64_t left, right;    /* attention: keys seen before and after a query's place; -1: all */
    int64_t max_distance;   /* attention: from here on the relative bias is one; distance_rows */
    int64_t distance_span;  /* distance_rows: half the rows of its table */
    int32_t looks_back;     /* distance_rows */
    int64_t kernel, stride; /* convolution, grid_max_pool: the side of a window, how far apart */
    int64_t padding;        /* they are, the border around the grid, */
    int32_t grid_space;     /* and the row space of their output; */
    int32_t same;           /* convolution, depthwise: borders as TensorFlow's SAME */
    int64_t bins;           /* adaptive_mean: how many down, and as many across */
    mtf_pooling pooling;    /* mean_pool, row_pool, max_pool */
    int64_t grid_height, grid_width; /* image_tokens: of the table of positions, */
    int32_t grid_lead;               /* its rows before them, */
    int32_t antialias;               /* how it is drawn over other grids, */
    int32_t token_space;             /* and the row space of its output */
    int32_t skip_rows;               /* poolings: first rows of each sequence that are left out */
    int32_t pair_space;              /* pair_features: the row space of its output */
    int32_t row_space;       /* sine_positions, repeat_rows: the row space of their output */
    int64_t row_width;       /* and its width */
    int32_t position_offset; /* embedding: position of a sequence's first row */
    int32_t mix_first;       /* layer_mix: number of its first layer */
    int32_t skips_pad;       /* embedding: rows of id position_offset - 1 are not counted */
} mtf_attrs;

/* Static facts of a node as the operation sees them. Slots that are absent have width 0. Spaces
 * are small indexes into a span; inputs of dtype int32 (ids) have is_ids set. */
typedef struct mtf_slot {
    int32_t space;
    int64_t width;
    int is_ids;
} mtf_slot;

typedef struct mtf_node_shape {
    const char *label; /* for messages: "backbone.layers[0] attention.output" */
    mtf_attrs attrs;
    mtf_slot in[MTF_MAX_IN], out[MTF_MAX_OUT], aux[MTF_MAX_AUX];
    int64_t weight_rows[MTF_MAX_WEIGHTS], weight_cols[MTF_MAX_WEIGHTS]; /* 0: absent */
    uint64_t key; /* of the label: names this operation in dropout draws */
} mtf_node_shape;

/* A range of whole sequences. offsets[space] has n_sequences + 1 entries, absolute rows of the
 * micro-batch: row r of sequence s is number offsets[s] + r - offsets[0] of the span. */
typedef struct mtf_span {
    int64_t first_sequence; /* its number in the step, for random draws */
    int64_t n_sequences;
    int64_t n_rows[MTF_MAX_SPACES];
    const int64_t *offsets[MTF_MAX_SPACES];
    const int64_t *widths[MTF_MAX_SPACES]; /* (n_sequences) columns of grids; NULL: not known */
    int64_t max_length[MTF_MAX_SPACES];    /* longest sequence of the micro-batch */
} mtf_span;

/* What is known of a row of a table that backward reaches by rows: most rows of a vocabulary are in
 * no batch, and what is zero need be neither cleared nor read. */
enum {
    MTF_ROW_NEVER,  /* gradient and moments are zero */
    MTF_ROW_MOVED,  /* the gradient is zero, the moments may not be */
    MTF_ROW_REACHED /* the gradient is that of the step under way, or of the last one */
};

/* One run of one node. Every pointer is at the span's first row. (R) rows of the slot's space. */
typedef struct mtf_op_call {
    const mtf_node_shape *shape;
    const mtf_span *span;
    const mtf_real *in[MTF_MAX_IN];      /* (R, width); NULL: absent or ids */
    const uint16_t *in_half[MTF_MAX_IN]; /* (R, width) forward: in bf16, and in[] NULL; where the
                                            operation's `halves` allows it */
    uint16_t *out_half[MTF_MAX_OUT];     /* likewise */
    const int32_t *ids[MTF_MAX_IN]; /* (R); NULL: absent, or an optional input left out (zeros) */
    const mtf_weight *w[MTF_MAX_WEIGHTS]; /* NULL: absent */
    mtf_real
        *out[MTF_MAX_OUT]; /* (R, width) forward: written; NULL: nobody reads it (never out[0]).
                                   backward: what forward wrote if `saves` asked for it, else NULL */
    mtf_real *aux[MTF_MAX_AUX];        /* (R, width) likewise; forward NULL: not kept */
    const mtf_real *dout[MTF_MAX_OUT]; /* (R, width) NULL: no gradient arrives (never all NULL) */
    mtf_real *din[MTF_MAX_IN];         /* (R, width) NULL: not needed */
    int din_add[MTF_MAX_IN];           /* 1: add to what is there, 0: overwrite every element */
    mtf_real *dw[MTF_MAX_WEIGHTS];     /* shape of w; NULL: frozen */
    int dw_add[MTF_MAX_WEIGHTS];
    uint8_t *dw_rows[MTF_MAX_WEIGHTS]; /* (V) states of the rows of dw, for weights in `by_rows`;
                                          NULL: unknown, every row is written */
    mtf_real *work; /* worker i's at work + i * work_stride; in a forward over one of many blocks
                       this worker's alone */
    size_t work_stride;               /* elements; 0: alone */
    mtf_real *shared;                 /* backward: of all workers, `shared` elements; NULL: none */
    mtf_real *found[MTF_MAX_WEIGHTS]; /* shape of w, of the weights in `moves`: what forward finds
                                         there, and backward reads */
    mtf_precision precision[MTF_MAX_WEIGHTS]; /* of the products of forward with each weight */
    mtf_precision grad_precision;             /* of those of backward */
    uint64_t dropout_key;                     /* of (seed, step); 0 with dropout_on == 0 */
    int dropout_on;
} mtf_op_call;

/* What backward is asked for, as bits: bit i = input i (dx) or weight i (dw). */
typedef struct mtf_need {
    uint32_t dx, dw;
} mtf_need;

/* What backward will read, as bits over in[], out[], aux[]. */
typedef struct mtf_save {
    uint32_t in, out, aux;
} mtf_save;

/* What forward can read and write in bf16 instead of floats, as bits over in[] and out[], without
 * another bit in any value. `alike`: input 0 and output 0 both or neither. */
typedef struct mtf_halves {
    uint32_t in, out;
    int alike;
} mtf_halves;

/* Rows of a micro-batch, for prices and for scratch: per space the rows, the longest sequence, and
 * (prices only) where the sequences begin and how wide grids are. */
typedef struct mtf_extent {
    int64_t n_rows[MTF_MAX_SPACES];
    int64_t max_length[MTF_MAX_SPACES];
    const int64_t
        *offsets[MTF_MAX_SPACES]; /* (sequences + 1); NULL: one row a sequence, or unknown */
    const int64_t *widths[MTF_MAX_SPACES]; /* (sequences); NULL: no grid, or unknown */
} mtf_extent;

typedef struct mtf_cost {
    double forward, dx, dw; /* floating-point operations, as base/flops.h counts them */
} mtf_cost;

typedef struct mtf_op {
    const char *name;
    mtf_locality locality;
    /* Slots and widths agree, attributes are in range; fills out[] and aux[] of `shape` (space,
     * width) from inputs, weights and attributes. */
    mtf_status (*check)(mtf_node_shape *shape, mtf_error *err);
    void (*forward)(const mtf_op_call *call);
    void (*backward)(const mtf_op_call *call);
    mtf_save (*saves)(const mtf_node_shape *shape, mtf_need need);
    /* `need`: what backward is asked for; forward does not depend on it. */
    mtf_cost (*cost)(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need);
    /* mtf_real elements of `work` for one worker, forward or backward. */
    size_t (*work)(const mtf_node_shape *shape, const mtf_extent *extent, int backward);
    /* Likewise of `shared` for a backward step that has to produce `need`; NULL: none. */
    size_t (*shared)(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                     mtf_precision precision);
    /* With products in these precisions; NULL: floats alone. */
    mtf_halves (*halves)(const mtf_node_shape *shape, const mtf_precision *precision);
    /* Bits of the weights that are factors of products, and so may have forms. */
    uint32_t factors;
    /* Bits of the weights of which backward reaches some rows only, and says which. */
    uint32_t by_rows;
    /* Bits of the weights that are statistics: a training step finds values for them (`found`), of which
     * the stored ones are moved once it is done. */
    uint32_t moves;
    int64_t least_rows; /* of its first output, where that is more than one; 0 */
    /* Bits of the inputs whose grids it looks around in, and MTF_GRID_OF_OUTPUT: a batch must say
     * their widths. */
    uint32_t grids;
    int rounds_aux; /* 1: aux values may be kept in bfloat16; 0: they are statistics */
    int in_pairs;   /* 1: of the weights, output i depends on number 2i and 2i + 1 only */
} mtf_op;

/* in: ids, token types (may be absent); w: word (V,C), position (P,C), token type (types,C) or
 * absent. out: sum of the three rows (T,C). */
extern const mtf_op mtf_op_embedding;
/* in: x (R,K); w: one to three pairs of a weight and its bias (N) or absent; out: one a pair,
 * act(x W^T + b) (R,N); aux[0]: before act (only with an activation, and then there is one pair);
 * backward overwrites aux[0] by its gradient. */
extern const mtf_op mtf_op_linear;
/* in: x, residual or absent (R,C); w: weight, bias or absent (C). out[0]: normalised, out[1]: x +
 * residual; aux[0]: mean and 1/deviation (R,2). */
extern const mtf_op mtf_op_layernorm;
/* in: x, residual or absent (R,C); w: weight (D), D divides C. out[0]: each group of D columns
 * divided by its root mean square, times weight_offset + weight; out[1]: x + residual; aux[0]: 1/root
 * of the groups (R,C/D). */
extern const mtf_op mtf_op_rmsnorm;
/* in: a, b (R,C). out: a + b. */
extern const mtf_op mtf_op_add;
/* in: x (R,K); w: transitions (K,K), start (K), end (K). out: scores of labels that follow each other, that
 * begin, that end (R, K K + 2K). */
extern const mtf_op mtf_op_transitions;
/* in: a, b (R,F), or a (R,2F) alone, which holds both. out: act(a) * b (R,F). */
extern const mtf_op mtf_op_gated;
/* in: x (R,W), heads of head_width columns. out: the first n_rotated turned by the row's place in its
 * sequence, the others copied. */
extern const mtf_op mtf_op_rotary;
/* in: q (Rq, Hq D), k, v (Rk, Hkv D), each row space with its own offsets; or q = [q|k|v] (R, (Hq + 2
 * Hkv) D), k and v absent. w: relative bias (buckets, Hq) or absent. out: (Rq, Hq D); aux[0]:
 * log-sum-exp (Rq, Hq). Query head h reads head h / (Hq / Hkv) of k and v. Rate > 0 drops
 * probabilities. */
extern const mtf_op mtf_op_attention;
/* in: x (R,I) of a grid, residual (S,O) or absent; w: weight (O, I, kernel, kernel) in MTF_LAYOUT_TAPS,
 * bias (O) or absent, and of a batch norm by its statistics all or none of weight, bias, mean, variance
 * (O). out: act(norm(windows W^T + bias) + residual) (S,O) in attrs.grid_space, the grid of windows. */
extern const mtf_op mtf_op_convolution;
/* in: x, residual or absent (R,C); w: weight, bias, mean, variance (C), count (1), of which it finds the
 * last three. out: act(x normalised by the mean and variance of its own rows, times weight, + bias +
 * residual). */
extern const mtf_op mtf_op_batch_norm;
/* in: x (R,C) of a grid; w as of a convolution, each column by itself: weight (C, kernel kernel), no bias,
 * the norm's four (C). out: act(norm(windows * weight)) (S,C) in attrs.grid_space. */
extern const mtf_op mtf_op_depthwise;
/* in: x (R,C) of a grid. out: by columns the largest value of each window (S,C) in attrs.grid_space;
 * aux[0]: its place in the window (S,C). */
extern const mtf_op mtf_op_grid_max_pool;
/* in: x (R,C) of a grid. out: means of bins x bins parts of each grid (B, C bins bins), a column's bins
 * side by side, down and across. */
extern const mtf_op mtf_op_adaptive_mean;
/* in: ids (T), whose values are not read. w: table (2 span, C). out: by place in the sequence, the row of
 * that distance ahead or back (T,C). */
extern const mtf_op mtf_op_distance_rows;
/* No input: out: the places of rows in their grids, attrs.row_width wide in attrs.row_space (R,C). */
extern const mtf_op mtf_op_sine_positions;
/* No input; w: table (Q,C) or absent. out: its rows, or zeros, for every sequence in attrs.row_space,
 * which has Q rows of each (R,C). */
extern const mtf_op mtf_op_repeat_rows;
/* in: q, k, v (R,C); rows of distances for q, ahead and back, and for k, ahead and back (R,C), each
 * pair or absent. out: (R,C); aux[0]: log-sum-exp (R, heads). */
extern const mtf_op mtf_op_disentangled;
/* in: x (R,C). out: x with lanes dropped and scaled. With dropout_on == 0 a copy; plans remove
 * such nodes. */
extern const mtf_op mtf_op_dropout;
/* in: x (R,C) of any space; ids (B) of how many first rows of each sequence are left out, or absent.
 * out: per sequence (B,C): a mean of its rows, one of them, or by columns the largest value, whose
 * row is aux[0] (B,C). */
extern const mtf_op mtf_op_mean_pool;
extern const mtf_op mtf_op_row_pool;
extern const mtf_op mtf_op_max_pool;
/* in: x (R,C) of any space but "sequences"; ids (P) of another space: rows of their sequence of x. out:
 * those rows (P,C). */
extern const mtf_op mtf_op_pick;
/* in: y (R,N), x (R,K); w: A (r,K), B (N,r). out: y + scale drop(x) A^T B^T (R,N); aux[0]: scale
 * drop(x) A^T (R,r). */
extern const mtf_op mtf_op_low_rank;
/* in: x (R,C); w: factors (C). out: x times its column's factor. */
extern const mtf_op mtf_op_scale_columns;
/* in: x (R,C). out: act(x). */
extern const mtf_op mtf_op_activation;
/* in: x (B,C) of "sequences". out: [u, v, |u - v|] (P,3C) in attrs.pair_space: a row of it belongs to
 * the sequence of u, and v is that of the next. */
extern const mtf_op mtf_op_pair_features;
/* in: patches (P,C) of a grid; w: class token (C), distillation token (C) or absent, registers (R,C) or
 * absent, positions (grid_lead + grid_height grid_width, C). out: the rows of each picture's tokens in
 * attrs.token_space (T,C). */
extern const mtf_op mtf_op_image_tokens;
/* in: two to MTF_MAX_IN tensors of one space (R,Ck). out: their columns side by side (R, sum of Ck). */
extern const mtf_op mtf_op_concat;
/* in: up to MTF_MAX_IN - 1 layers (R,C), the last one the rest or absent (R,C); w: a number a layer of
 * the whole mix (n), gamma (1). out: rest + gamma * the layers by the softmax of their numbers (R,C). */
extern const mtf_op mtf_op_layer_mix;
/* in: x (R,C). out: x / max(|x|, eps) by row; aux[0]: max(|x|, eps) (R,1). */
extern const mtf_op mtf_op_normalize;

#endif
