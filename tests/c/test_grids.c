/* Row spaces that are grids: the rules that join them, what batches are refused, what the cut moves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../csrc/base/status.h"
#include "../../csrc/model/parts.h"
#include "../../csrc/model/registry.h"
#include "../../csrc/object/object.h"
#include "../../csrc/plan/batch.h"
#include "tiny_bert.h"

#define GRID_MOST   4096
#define GRID_PIXELS 3 /* floats of a row */

static const mtf_grid_window HALVING = {.kernel = 3, .stride = 2, .padding = 1};
static const mtf_grid_window POOLING = {.kernel = 2, .stride = 2, .ceil = 1};

/* Spaces "pixels" (a grid), "halves" and "pools" over it, "tokens" with two rows more. */
static mtf_status grid_build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    const int64_t shape[2] = {4, GRID_PIXELS};
    int64_t exact = 0;
    MTF_TRY(mtf_config_get_int(config, "exact", 0, 64, 0, &exact, err));
    const int32_t pixels = exact > 0 ? mtf_program_grid_exact(p, "pixels", exact, 2 * exact)
                                     : mtf_program_grid(p, "pixels", GRID_MOST);
    (void)mtf_program_grid_after(p, "halves", pixels, HALVING);
    (void)mtf_program_grid_after(p, "pools", pixels, POOLING);
    (void)mtf_program_space_after(p, "tokens", pixels, 2);
    const mtf_tensor_id x = mtf_program_input_rows(p, "pixels", pixels, GRID_PIXELS);
    mtf_program_unit(p, "backbone.stem", 0);
    const int32_t w = mtf_program_param(p, "backbone.stem.weight", 2, shape, MTF_LAYOUT_OUT_IN, 1,
                                        MTF_INIT_ONE, 0);
    const mtf_tensor_id y = mtf_node_linear(p, "stem", x, w, -1, MTF_ACT_NONE);
    mtf_program_end_unit(p);
    mtf_program_output(p, "pooled", mtf_node_pool(p, "pooling", MTF_POOL_MEAN, y, MTF_NO_TENSOR));
    return mtf_program_finish(p, err);
}

static const mtf_family grid_family = {"grids", grid_build};

static mtf_model *grid_model(int64_t exact)
{
    mtf_error err = {0};
    mtf_model *model = NULL;
    mtf_config *config = mtf_config_new();
    CHECK(mtf_config_set_int(config, "exact", exact) == MTF_OK);
    CHECK(mtf_object_new(&grid_family, config, &model, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    mtf_config_free(config);
    return model;
}

/* A batch of pictures of these sizes. */
enum { PICTURES = 3, SPACES = 4 };
typedef struct grid_batch {
    int64_t offsets[SPACES][PICTURES + 1], widths[SPACES][PICTURES];
    mtf_real pixels[GRID_MOST * GRID_PIXELS];
    mtf_rows spaces[SPACES];
    mtf_input input;
    mtf_batch batch;
} grid_batch;

static void grid_fill(grid_batch *b, const int64_t sizes[PICTURES][2])
{
    static const char *const names[SPACES] = {"pixels", "halves", "pools", "tokens"};
    const mtf_grid_window *windows[SPACES] = {NULL, &HALVING, &POOLING, NULL};
    for (int s = 0; s < SPACES; s++) {
        b->offsets[s][0] = 0;
        for (int i = 0; i < PICTURES; i++) {
            const int64_t h = windows[s] ? mtf_grid_side(windows[s], sizes[i][0]) : sizes[i][0];
            const int64_t w = windows[s] ? mtf_grid_side(windows[s], sizes[i][1]) : sizes[i][1];
            b->offsets[s][i + 1] = b->offsets[s][i] + h * w + (s == 3 ? 2 : 0);
            b->widths[s][i] = w;
        }
        b->spaces[s] = (mtf_rows){names[s], b->offsets[s], s == 3 ? NULL : b->widths[s]};
    }
    test_fill(b->pixels, (size_t)b->offsets[0][PICTURES] * GRID_PIXELS, -1, 1);
    b->input = (mtf_input){"pixels", b->pixels};
    b->batch = (mtf_batch){.n_sequences = PICTURES,
                           .n_spaces = SPACES,
                           .spaces = b->spaces,
                           .n_inputs = 1,
                           .inputs = &b->input};
}

static grid_batch b;
static const int64_t sizes[PICTURES][2] = {{5, 8}, {1, 7}, {12, 3}};

static const char *run(mtf_model *model)
{
    static mtf_error err;
    mtf_real pooled[PICTURES * 4];
    const mtf_output output = {"pooled", pooled};
    err = (mtf_error){0};
    const mtf_status status = mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err);
    CHECK((status == MTF_OK) == (err.text[0] == '\0'));
    return err.text;
}

/* Windows counted by laying them out, as torch's convolutions and poolings do. */
static int64_t count_windows(const mtf_grid_window *windows, int64_t side)
{
    int64_t n = 0;
    for (int64_t at = -windows->padding;; at += windows->stride, n++) {
        const int fits = at + windows->kernel <= side + windows->padding;
        const int begins = at < side; /* of ceil: not in the border behind alone */
        const int covered = at - windows->stride + windows->kernel >= side + windows->padding;
        if (!fits && (!windows->ceil || !begins || covered)) {
            return n;
        }
    }
}

MTF_TEST(windows_are_those_that_can_be_laid_out)
{
    for (int64_t kernel = 1; kernel <= 7; kernel++) {
        for (int64_t stride = 1; stride <= 4; stride++) {
            for (int64_t padding = 0; padding <= kernel / 2; padding++) {
                for (int64_t side = 1; side <= 40; side++) {
                    const mtf_grid_window w = {kernel, stride, padding, 0};
                    CHECK_INT(mtf_grid_side(&w, side), count_windows(&w, side));
                    const mtf_grid_window up = {kernel, stride, padding, 1};
                    CHECK_INT(mtf_grid_side(&up, side), count_windows(&up, side));
                }
            }
        }
    }
}

MTF_TEST(rules_are_listed)
{
    mtf_model *model = grid_model(0);
    mtf_space_info info;
    mtf_model_get_space(model, 1, &info);
    CHECK_INT(info.is_grid, 1);
    CHECK(info.of == NULL);
    CHECK_INT(info.height, 0);
    mtf_model_get_space(model, 2, &info);
    CHECK_INT(info.is_grid, 1);
    CHECK_TEXT(info.of, "pixels");
    CHECK_INT(info.kernel, 3);
    CHECK_INT(info.stride, 2);
    CHECK_INT(info.padding, 1);
    CHECK_INT(info.ceil, 0);
    mtf_model_get_space(model, 3, &info);
    CHECK_INT(info.ceil, 1);
    mtf_model_get_space(model, 4, &info);
    CHECK_INT(info.is_grid, 0);
    CHECK_TEXT(info.of, "pixels");
    CHECK_INT(info.extra, 2);
    CHECK_INT(info.max_length, GRID_MOST + 2);
    mtf_model_free(model);
    model = grid_model(5);
    mtf_model_get_space(model, 1, &info);
    CHECK_INT(info.height, 5);
    CHECK_INT(info.width, 10);
    mtf_model_get_space(model, 2, &info);
    CHECK_INT(info.height, 3);
    CHECK_INT(info.width, 5);
    CHECK_INT(info.max_length, 15);
    mtf_model_free(model);
}

/* The most rows of a derived grid is no less than any grid of so many rows has. */
MTF_TEST(no_grid_has_more_windows_than_its_space_takes)
{
    static const mtf_grid_window windows[] = {{1, 1, 0, 0}, {3, 1, 1, 0}, {3, 2, 1, 0},
                                              {7, 2, 3, 0}, {2, 2, 0, 1}, {3, 2, 1, 1},
                                              {5, 1, 4, 0}};
    for (size_t k = 0; k < sizeof windows / sizeof windows[0]; k++) {
        for (int64_t rows = 1; rows <= 60; rows++) {
            mtf_program *p = mtf_program_new();
            const int32_t of = mtf_program_grid(p, "pixels", rows);
            const int32_t space = mtf_program_grid_after(p, "windows", of, windows[k]);
            for (int64_t h = 1; h <= rows; h++) {
                CHECK(mtf_grid_side(&windows[k], h) * mtf_grid_side(&windows[k], rows / h) <=
                      p->spaces[space].max_length);
            }
            mtf_program_free(p);
        }
    }
}

MTF_TEST(batches_that_contradict_themselves_are_refused)
{
    mtf_model *model = grid_model(0);
    grid_fill(&b, sizes);
    CHECK_TEXT(run(model), "");
    b.widths[0][1] = 3; /* of 7 rows */
    CHECK(strstr(run(model), "sequence 1 has 7 pixels and a width of 3") != NULL);
    b.widths[0][1] = 0;
    CHECK(strstr(run(model), "a width of 0") != NULL);
    b.widths[0][1] = -7;
    CHECK(strstr(run(model), "a width of -7") != NULL);
    grid_fill(&b, sizes);
    b.widths[1][0] = 3; /* 3 x 4 halves as 4 x 3 */
    CHECK(strstr(run(model),
                 "sequence 0 has a grid of 4 x 3 halves; over 5 x 8 pixels it is 3 x 4") != NULL);
    grid_fill(&b, sizes);
    b.offsets[3][3]++;
    CHECK(strstr(run(model), "sequence 2 has 39 tokens; of 36 pixels there are 38") != NULL);
    grid_fill(&b, sizes);
    b.spaces[3].widths = b.widths[0];
    CHECK(strstr(run(model), "the tokens are no grid") != NULL);
    grid_fill(&b, sizes);
    b.spaces[1].widths = NULL;
    CHECK(strstr(run(model), "widths for its pixels and none for its halves") != NULL);
    grid_fill(&b, sizes); /* what runs looks around in no grid */
    b.spaces[0].widths = b.spaces[1].widths = NULL;
    CHECK_TEXT(run(model), "");
    mtf_model_free(model);
}

MTF_TEST(a_space_of_one_grid_takes_no_other)
{
    static const int64_t right[PICTURES][2] = {{5, 10}, {5, 10}, {5, 10}};
    static const int64_t turned[PICTURES][2] = {{5, 10}, {10, 5}, {5, 10}};
    static const int64_t smaller[PICTURES][2] = {{5, 10}, {5, 10}, {5, 9}};
    mtf_model *model = grid_model(5);
    grid_fill(&b, right);
    CHECK_TEXT(run(model), "");
    grid_fill(&b, turned);
    CHECK(strstr(run(model), "sequence 1 has a grid of 10 x 5 pixels, the model takes 5 x 10") !=
          NULL);
    grid_fill(&b, smaller);
    CHECK(strstr(run(model), "sequence 2 has a grid of 5 x 9 pixels, the model takes 5 x 10") !=
          NULL);
    for (int s = 0; s < SPACES; s++) { /* as prices ask: how many rows, and not of what shape */
        b.spaces[s].widths = NULL;
    }
    CHECK_TEXT(run(model), "");
    mtf_model_free(model);
}

MTF_TEST(parts_of_a_batch_have_their_own_widths)
{
    mtf_model *model = grid_model(0);
    const mtf_program *program = model->network->program;
    const int64_t identity[PICTURES + 1] = {0, 1, 2, 3}, none[PICTURES + 1] = {0};
    mtf_error err = {0};
    mtf_view view;
    grid_fill(&b, sizes);
    CHECK(mtf_batch_check(program, &b.batch, identity, none, &view, &err) == MTF_OK);
    for (int64_t first = 0; first < PICTURES; first++) {
        const mtf_view part = mtf_view_part(program, &view, first, PICTURES - first);
        CHECK(part.widths[1] == b.widths[0] + first);
        CHECK(part.widths[2] == b.widths[1] + first);
        CHECK(part.widths[4] == NULL);
    }
    mtf_model_free(model);
}

MTF_TEST(windows_that_cannot_be_are_refused)
{
    static const mtf_grid_window bad[] = {{0, 1, 0, 0}, {3, 0, 1, 0}, {3, 1, -1, 0}, {3, 1, 3, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mtf_error err = {0};
        mtf_program *p = mtf_program_new();
        (void)mtf_program_grid_after(p, "windows", mtf_program_grid(p, "pixels", 9), bad[i]);
        CHECK(mtf_program_finish(p, &err) == MTF_ERR_CONFIG);
        mtf_program_free(p);
    }
    mtf_error err = {0};
    mtf_program *p = mtf_program_new();
    const mtf_grid_window large = {.kernel = 4, .stride = 1};
    (void)mtf_program_grid_after(p, "windows", mtf_program_grid_exact(p, "pixels", 3, 5), large);
    CHECK(mtf_program_finish(p, &err) == MTF_ERR_CONFIG);
    mtf_program_free(p);
}

MTF_TEST(a_thirteenth_row_space_is_refused)
{
    for (int n = 11; n <= 12; n++) { /* beside "sequences", which every program has */
        mtf_error err = {0};
        mtf_program *p = mtf_program_new();
        for (int i = 0; i < n; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "grid %d", i);
            (void)mtf_program_grid(p, name, 9);
        }
        CHECK(mtf_program_finish(p, &err) == (n < 12 ? MTF_OK : MTF_ERR_CONFIG));
        CHECK_TEXT(err.text, n < 12 ? "" : "a program has at most 12 row spaces");
        mtf_program_free(p);
    }
}
