/* blocks.c: the cut of a batch into blocks, and what it goes by.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/threads.h"
#include "run.h"

#include <string.h>

/* Tokens of one forward block: large enough that weights come from memory seldom, small enough that a
 * block's activations stay near a core. Of 128, 256 and 512, 256 is 3 to 5 % faster than 512 in bf16
 * and int8; in fp32 all three are equal (all-MiniLM-L6-v2, 640 sentences). */
#define BLOCK_ROWS 256
/* Weights as large as those of BERT-base and ViT-B come from memory once a block, and products wait for
 * them: 832 rows are 10 % faster than 256 in bf16, 6 % in fp32 (ViT-B, 8 images of 197 rows). */
#define STREAMED_ROWS 832
/* Below this many rows a block is not cut further. */
#define BLOCK_ROWS_MIN 64
/* Sequences of so many rows are images under convolutions. What one layer makes of a batch of them is in
 * no cache when the next one reads it, so blocks are a few images, once every worker has some. Where
 * early steps take them few at a time, of EARLY_ROWS rows at least, blocks are larger: later steps have
 * large weights, which come from memory once a block. */
#define LONG_ROWS       4096
#define LONG_SEQUENCES  2
#define LATE_SEQUENCES  8
#define LONG_PER_WORKER 4
#define EARLY_ROWS      32768

/* Weights of so many values are large beside what a processor keeps near a core. One with a row for each
 * word of a vocabulary is not counted: what it gives takes more memory than it does. */
#define LARGE_WEIGHT 2000000
#define MOST_OUTPUTS 16384
/* From grids of a row for so many pixels on steps are not early: the fourth halving of the sides. */
#define LATE_PIXELS 256

/* Whether a step has a product with a large weight. */
static int step_streams(const mtf_program *program, const mtf_step *step)
{
    const mtf_node *node = &program->nodes[step->node];
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (!(node->op->factors >> i & 1u) || node->weight[i] < 0) {
            continue;
        }
        const mtf_param_def *def = &program->params[node->weight[i]];
        if (def->size >= LARGE_WEIGHT && def->shape[0] < MOST_OUTPUTS) {
            return 1;
        }
    }
    return 0;
}

/* Pixels of an image for which a row of a space stands; 0: the space is no grid of images. */
static int64_t pixels_of(const mtf_program *program, int32_t space)
{
    const mtf_space_def *def = &program->spaces[space];
    if (!def->is_grid) {
        return 0;
    }
    return def->of > 0 ? pixels_of(program, def->of) * def->windows.stride * def->windows.stride
                       : 1;
}

/* In training all images of a step are kept anyway. */
static void count_early(mtf_plan *plan)
{
    const mtf_program *program = plan->program;
    while (!plan->training && plan->n_early < plan->n_forward) {
        const mtf_node *node = &program->nodes[plan->forward[plan->n_early].node];
        const int64_t pixels = pixels_of(program, node->shape.out[0].space);
        if (pixels == 0 || pixels >= LATE_PIXELS || !plan->splits) {
            break;
        }
        plan->n_early++;
    }
}

void mtf_plan_mark_blocks(mtf_plan *plan)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        plan->streams |= step_streams(plan->program, &plan->forward[i]);
    }
    count_early(plan);
}

/* The row space with most rows among those that are computed in: what blocks are measured in. */
static int32_t widest_space(const mtf_plan *plan, const mtf_view *view)
{
    int32_t widest = 0;
    for (int32_t s = 1; s < plan->program->n_spaces; s++) {
        if ((plan->spaces >> s & 1u) && mtf_view_rows(view, s) > mtf_view_rows(view, widest)) {
            widest = s;
        }
    }
    return widest;
}

/* Whether a batch is of images that are taken a few at a time. */
static int are_long(int64_t rows, int64_t n_sequences)
{
    return rows >= LONG_ROWS * n_sequences && n_sequences >= LONG_PER_WORKER * mtf_workers();
}

/* How many blocks; 1: the workers share one. */
static int64_t wanted_blocks(const mtf_plan *plan, int64_t rows, int64_t n_sequences)
{
    const int64_t workers = mtf_workers();
    const int64_t block = plan->streams ? STREAMED_ROWS : BLOCK_ROWS;
    int64_t wanted = (rows + block - 1) / block;
    if (are_long(rows, n_sequences)) {
        const int64_t most = plan->n_early > 0 ? LATE_SEQUENCES : LONG_SEQUENCES;
        wanted = (n_sequences + most - 1) / most;
    }
    wanted = (wanted + workers - 1) / workers * workers;
    return wanted > rows / BLOCK_ROWS_MIN || wanted > n_sequences || !plan->splits ? 1 : wanted;
}

/* Whole sequences, so that blocks have nearly equal rows. */
static void cut_blocks(const mtf_plan *plan, const mtf_view *view, int64_t *blocks,
                       mtf_sizes *sizes)
{
    const int32_t space = widest_space(plan, view);
    const int64_t *offsets = view->offsets[space];
    const int64_t rows = mtf_view_rows(view, space);
    const int64_t wanted = wanted_blocks(plan, rows, view->n_sequences);
    int64_t sequence = 0;
    while (sequence < view->n_sequences) {
        const int64_t first = sequence;
        if (blocks != NULL) {
            blocks[sizes->n_blocks] = first;
        }
        sizes->n_blocks++;
        int64_t end = rows * sizes->n_blocks / wanted; /* rows after which this block is full */
        do {
            sequence++;
        } while (
            sequence < view->n_sequences &&
            ((offsets[sequence + 1] - offsets[0] + offsets[sequence] - offsets[0]) / 2 <= end ||
             mtf_view_joined(plan->program, view, sequence)));
        for (int32_t s = 0; s < plan->program->n_spaces; s++) {
            const int64_t n = view->offsets[s][sequence] - view->offsets[s][first];
            sizes->block_rows[s] = n > sizes->block_rows[s] ? n : sizes->block_rows[s];
        }
    }
    if (blocks != NULL) {
        blocks[sizes->n_blocks] = view->n_sequences;
    }
    sizes->wide = sizes->n_blocks == 1 && mtf_workers() > 1;
    const int64_t few = EARLY_ROWS * view->n_sequences / (rows > 0 ? rows : 1);
    if (plan->n_early > 0 && are_long(rows, view->n_sequences) && !sizes->wide) {
        sizes->n_at_once = few > 1 ? few : 1;
    }
}

int64_t mtf_early_end(const mtf_plan *plan, const mtf_view *view, int64_t first, int64_t last,
                      int64_t n)
{
    int64_t end = n > 0 && n < last - first ? first + n : last;
    while (end < last && mtf_view_joined(plan->program, view, end)) {
        end++;
    }
    return end;
}

/* Rows of the most images that early steps take at once. */
static void measure_early(const mtf_plan *plan, const mtf_view *view, mtf_sizes *sizes)
{
    if (sizes->n_at_once == 0) {
        memcpy(sizes->early_rows, sizes->block_rows, sizeof sizes->early_rows);
        return;
    }
    /* blocks begin anywhere, so any images that follow each other may come together */
    for (int64_t first = 0; first < view->n_sequences; first++) {
        const int64_t end = mtf_early_end(plan, view, first, view->n_sequences, sizes->n_at_once);
        for (int32_t s = 0; s < plan->program->n_spaces; s++) {
            const int64_t n = view->offsets[s][end] - view->offsets[s][first];
            sizes->early_rows[s] = n > sizes->early_rows[s] ? n : sizes->early_rows[s];
        }
    }
}

void mtf_blocks_cut(const mtf_plan *plan, const mtf_view *view, int64_t *blocks, mtf_sizes *sizes)
{
    cut_blocks(plan, view, blocks, sizes);
    measure_early(plan, view, sizes);
}
