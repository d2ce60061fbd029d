/* Batches as named inputs with row spaces: what a model lists, how they are cut, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "two_spaces.h"

#include "../../csrc/plan/batch.h"

static pair_batch b;

MTF_TEST(spaces_and_inputs_are_listed)
{
    mtf_model *model = pair_model();
    static const mtf_space_info spaces[] = {
        {.name = "sequences", .max_length = 1, .row_cost = 1},
        {.name = "tokens", .max_length = PAIR_MAX_TOKENS, .row_cost = 1},
        {.name = "patches", .max_length = PAIR_MAX_PATCHES, .row_cost = 1}};
    static const mtf_input_info inputs[] = {{"ids", "tokens", 0, PAIR_VOCABULARY, 0},
                                            {"patches", "patches", PAIR_PATCH_WIDTH, 0, 0}};
    CHECK_INT(mtf_model_n_spaces(model), 3);
    for (size_t i = 0; i < 3; i++) {
        mtf_space_info info;
        mtf_model_get_space(model, i, &info);
        CHECK_TEXT(info.name, spaces[i].name);
        CHECK_INT(info.max_length, spaces[i].max_length);
        CHECK_INT(info.of_heads, spaces[i].of_heads);
        CHECK_INT(info.row_cost, spaces[i].row_cost);
    }
    CHECK_INT(mtf_model_n_inputs(model), 2);
    for (size_t i = 0; i < 2; i++) {
        mtf_input_info info;
        mtf_model_get_input(model, i, &info);
        CHECK_TEXT(info.name, inputs[i].name);
        CHECK_TEXT(info.space, inputs[i].space);
        CHECK_INT(info.width, inputs[i].width);
        CHECK_INT(info.limit, inputs[i].limit);
        CHECK_INT(info.optional, inputs[i].optional);
    }
    mtf_model_free(model);
}

MTF_TEST(no_space_of_a_micro_batch_exceeds_the_budget)
{
    enum { BUDGET = 20 };
    mtf_model *model = pair_model();
    const mtf_program *program = model->network->program;
    int64_t identity[PAIR_SEQUENCES + 1], fullest[3] = {0};
    mtf_error err = {0};
    mtf_view view;
    pair_fill(&b);
    for (int i = 0; i <= PAIR_SEQUENCES; i++) {
        identity[i] = i;
    }
    CHECK(mtf_batch_check(program, &b.batch, identity, NULL, &view, &err) == MTF_OK);
    for (int64_t first = 0, n; first < PAIR_SEQUENCES; first += n) {
        n = mtf_view_cut(program, &view, first, BUDGET);
        const mtf_view part = mtf_view_part(program, &view, first, n);
        int over = 0; /* with one sequence more */
        for (int32_t s = 0; s < 3; s++) {
            const int64_t rows = mtf_view_rows(&part, s);
            CHECK(rows <= BUDGET);
            fullest[s] = rows > fullest[s] ? rows : fullest[s];
            over |= first + n < PAIR_SEQUENCES &&
                    view.offsets[s][first + n + 1] - view.offsets[s][first] > BUDGET;
        }
        CHECK(over || first + n == PAIR_SEQUENCES);
        CHECK(part.inputs[0] == b.ids + b.of_tokens[first]);
        CHECK(part.inputs[1] == b.patches + b.of_patches[first] * PAIR_PATCH_WIDTH);
    }
    CHECK(fullest[1] > BUDGET / 2 && fullest[2] > BUDGET / 2);
    mtf_model_free(model);
}

MTF_TEST(wrong_batches_name_input_and_space)
{
    static mtf_real out[PAIR_MOST * PAIR_WIDTH];
    static const int32_t ids[] = {1, 2, PAIR_VOCABULARY}, low[] = {1, 2, -1}, good[] = {1, 2, 3};
    static const mtf_real patches[4 * PAIR_PATCH_WIDTH];
    static const int64_t three[] = {0, 3}, four[] = {0, 4}, ten[] = {0, 10}, late[] = {1, 4};
    static const int64_t equal[] = {0, 0, 4}, two[] = {0, 1, 3};
    const struct {
        int64_t n;
        mtf_rows spaces[2];
        mtf_input inputs[2];
        mtf_status status;
        const char *words[3];
    } cases[] = {
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"patches", patches}, {"ids", NULL}},
         MTF_ERR_VALUE,
         {"tokens lacks the input \"ids\"", "give it"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"ids", good}, {"patches", NULL}},
         MTF_ERR_VALUE,
         {"patches lacks the input \"patches\"", "give it"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = NULL}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_VALUE,
         {"no offsets for its patches"}},
        {1,
         {{.space = "patches", .offsets = four}, {.space = "patches", .offsets = four}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_VALUE,
         {"no offsets for its tokens"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patchez", .offsets = four}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_NAME,
         {"no row space \"patchez\""}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "sequences", .offsets = four}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_NAME,
         {"no row space \"sequences\" with offsets"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = late}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_SHAPE,
         {"patches must begin with 0", "found 1"}},
        {2,
         {{.space = "tokens", .offsets = two}, {.space = "patches", .offsets = equal}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_SHAPE,
         {"sequence 0 is empty", "of the patches"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = ten}},
         {{"ids", good}, {"patches", patches}},
         MTF_ERR_SHAPE,
         {"10 patches", "at most 9"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"ids", ids}, {"patches", patches}},
         MTF_ERR_VALUE,
         {"\"ids\" has 19 at row 2 of the tokens", "0..18"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"ids", low}, {"patches", patches}},
         MTF_ERR_VALUE,
         {"\"ids\" has -1 at row 2 of the tokens"}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"ids", good}, {"pixels", patches}},
         MTF_ERR_NAME,
         {"no input \"pixels\""}},
        {1,
         {{.space = "tokens", .offsets = three}, {.space = "patches", .offsets = four}},
         {{"ids", good}, {"hidden", patches}},
         MTF_ERR_NAME,
         {"no input \"hidden\""}},
    };
    mtf_model *model = pair_model();
    const mtf_output output = {"pooled", out};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mtf_error err = {0};
        const mtf_batch batch = {cases[i].n, 2, cases[i].spaces, 2, cases[i].inputs, 0, NULL};
        CHECK_INT(mtf_model_forward(model, &batch, 1, &output, MTF_AS_FROZEN, &err),
                  cases[i].status);
        for (int w = 0; w < 3 && cases[i].words[w] != NULL; w++) {
            CHECK_MSG(strstr(err.text, cases[i].words[w]) != NULL, err.text);
        }
    }
    pair_fill(&b);
    mtf_error err = {0};
    CHECK(mtf_model_forward(model, &b.batch, 1, &output, MTF_AS_FROZEN, &err) == MTF_OK);
    CHECK_TEXT(err.text, "");
    mtf_model_free(model);
}

/* Declares inputs until the program refuses one. */
static void declare_many(mtf_program *p, int32_t space)
{
    for (int i = 0; i <= MTF_MAX_INPUTS; i++) {
        (void)mtf_program_input_rows(p, "rows", space, 3);
    }
}

static void declare_late(mtf_program *p, int32_t space)
{
    const mtf_tensor_id rows = mtf_program_input_rows(p, "rows", space, 3);
    (void)mtf_node_pool(p, "pooling", MTF_POOL_MEAN, rows, MTF_NO_TENSOR);
    (void)mtf_program_input_rows(p, "late", space, 3);
}

static void name_an_input(mtf_program *p, int32_t space)
{
    mtf_program_output(p, "hidden", mtf_program_input_rows(p, "rows", space, 3));
}

MTF_TEST(programs_refuse_inputs_that_batches_could_not_give)
{
    static const struct {
        void (*declare)(mtf_program *p, int32_t space);
        const char *words;
    } cases[] = {{declare_many, "at most 8 inputs"},
                 {declare_late, "before its first node"},
                 {name_an_input, "an input cannot be an output"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mtf_error err = {0};
        mtf_program *p = mtf_program_new();
        cases[i].declare(p, mtf_program_space(p, "patches", 4));
        CHECK(mtf_program_finish(p, &err) == MTF_ERR_CONFIG);
        CHECK_MSG(strstr(err.text, cases[i].words) != NULL, err.text);
        mtf_program_free(p);
    }
    mtf_error err = {0};
    mtf_program *p = mtf_program_new();
    CHECK(mtf_program_finish(p, &err) == MTF_ERR_CONFIG);
    CHECK_MSG(strstr(err.text, "needs a row space") != NULL, err.text);
    mtf_program_free(p);
}
