/* The level AMX with its tile instructions emulated: nothing is asked that hardware refuses, tiles
 * are given back, and the emulation notices misuse. Values are tested by test_kernels_bf16_amx and
 * test_kernels_int8_amx. SPDX-License-Identifier: Apache-2.0 */
#include "reduced_case.h"

#include "amx_emulation.h"

/* tables[0] is the reference, *amx the emulated level; 0 where the CPU lacks what it needs. */
static int fill_amx(mtf_kernels tables[MAX_LEVELS], mtf_kernels **amx)
{
    const int n = fill_levels(tables);
    *amx = &tables[n - 1];
    return tables[n - 1].packed_bf16 == emulated_packed_bf16;
}

MTF_TEST(tiles_are_used_as_hardware_allows)
{
    static const int64_t shapes[][3] = {{1, 1, 1},    {16, 32, 32},  {17, 33, 31},
                                        {33, 40, 65}, {64, 64, 128}, {5, 31, 100}};
    mtf_kernels tables[MAX_LEVELS];
    mtf_kernels *amx;
    if (!fill_amx(tables, &amx)) {
        SKIP("needs a CPU with avx512bf16");
    }
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int turned = 0; turned < 2; turned++) {
            const reduced_case c = reduced_new(shapes[s][0], shapes[s][1], shapes[s][2], turned);
            const mtf_epilogue e = {c.bias.data, NULL, MTF_ACT_NONE, 0};
            const reduced_panels halves = pack_bf16(&tables[0], &c);
            const reduced_panels bytes = pack_int8(&tables[0], &c);
            buffer y = buffer_new((c.m - 1) * c.ldy + c.n, 1);
            buffer want = buffer_new((c.m - 1) * c.ldy + c.n, 0);
            amx_faults = 0;
            run_bf16(amx, &c, &halves, y, 0, c.m, &e);
            CHECK_INT(amx_configured, 0);
            run_bf16(&tables[0], &c, &halves, want, 0, c.m, &e);
            for (int64_t i = 0; i < c.m; i++) {
                check_close_all(y.data + i * c.ldy, want.data + i * c.ldy, c.n, TOLERANCE_BF16(c.k),
                                "bf16");
            }
            run_int8(amx, &c, &bytes, y, 0, c.m, &e);
            CHECK_INT(amx_configured, 0);
            run_int8(&tables[0], &c, &bytes, want, 0, c.m, &e);
            for (int64_t i = 0; i < c.m; i++) {
                CHECK_BITS(y.data + i * c.ldy, want.data + i * c.ldy, (size_t)c.n * sizeof *y.data);
            }
            CHECK_INT(amx_faults, 0);
            panels_free(halves), panels_free(bytes);
            buffer_free(y), buffer_free(want);
            reduced_free(c);
        }
    }
}

/* One tile of each kind by hand: the layouts of Intel's reference, pairs and fours side by side. */
MTF_TEST(the_emulation_computes_what_the_manual_says)
{
    uint8_t config[64] = {1};
    uint8_t x[16][64] = {{0}};
    uint8_t w[16][64] = {{0}};
    int32_t sums[16][16] = {{0}};
    for (int t = 0; t < 3; t++) {
        config[16 + 2 * t] = 64;
        config[48 + t] = 16;
    }
    x[3][4 * 5 + 2] = 200;  /* row 3, k = 22, without sign */
    w[5][4 * 7 + 2] = 0xFD; /* k = 22, column 7: -3 */
    x[3][0] = 2;
    w[0][4 * 7] = 10;
    sums[3][7] = 1000;
    tiles_configure(config);
    tile_load(0, sums, 64);
    tile_load(1, x, 64);
    tile_load(2, w, 64);
    tile_dot_bytes(0, 1, 2);
    tile_store(0, sums, 64);
    tiles_release();
    CHECK_INT(sums[3][7], 1000 - 600 + 20);
    CHECK_INT(sums[3][6], 0);
}

MTF_TEST(misuse_of_tiles_is_noticed)
{
    uint8_t config[64] = {1};
    uint8_t values[16 * 64] = {0};
    amx_faults = 0;
    tile_load(0, values, 64); /* not configured */
    CHECK_INT(amx_faults, 1);
    config[16] = 64;
    config[48] = 16;
    tiles_configure(config);
    CHECK_INT(amx_faults, 1);
    tile_load(0, values, 64);
    CHECK_INT(amx_faults, 1);
    tile_dot_bytes(0, 1, 2); /* two of them not configured */
    CHECK(amx_faults > 1);
    config[0] = 3; /* no such palette */
    const int faults = amx_faults;
    tiles_configure(config);
    CHECK_INT(amx_faults, faults + 1);
    tiles_release();
    amx_faults = 0;
}
