/* The tile instructions of kernels/amx/tiles.h in plain C, as Intel's reference writes them; what
 * a program must not do is counted as a fault. In use where MTF_AMX_EMULATED is defined.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_AMX_EMULATION_H
#define MTF_AMX_EMULATION_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EMULATED_TILES 8

/* How often something was done that hardware refuses; and whether tiles are in use. Both in
 * amx_emulation.c; each thread has its own, as it has tiles. */
extern _Thread_local int amx_faults;
extern _Thread_local int amx_configured;

typedef struct emulated_tile {
    int rows, bytes; /* 0: not configured */
    uint8_t at[16][64];
} emulated_tile;

static _Thread_local emulated_tile emulated[EMULATED_TILES];

/* byte 0: palette; bytes 16, 17 ..: bytes of a row (two each); bytes 48 ..: rows */
static inline void tiles_configure(const void *bytes)
{
    uint8_t config[64];
    memcpy(config, bytes, sizeof config);
    amx_faults += config[0] != 1;
    for (int i = 1; i < 16; i++) {
        amx_faults += config[i] != 0;
    }
    for (int i = 0; i < EMULATED_TILES; i++) {
        emulated_tile *t = &emulated[i];
        t->rows = config[48 + i];
        t->bytes = config[16 + 2 * i] + 256 * config[17 + 2 * i];
        amx_faults += t->rows > 16 || t->bytes > 64 || (t->rows == 0) != (t->bytes == 0);
        memset(t->at, 0, sizeof t->at);
    }
    amx_configured = 1;
}

static inline void tiles_release(void)
{
    memset(emulated, 0, sizeof emulated);
    amx_configured = 0;
}

static inline void tiles_fence(void)
{
}

static inline int emulated_usable(int tile)
{
    const int usable = amx_configured && emulated[tile].rows > 0;
    amx_faults += !usable;
    return usable;
}

static inline void tile_load(int tile, const void *from, int64_t stride)
{
    emulated_tile *t = &emulated[tile];
    emulated_usable(tile);
    memset(t->at, 0, sizeof t->at);
    for (int row = 0; row < t->rows; row++) {
        memcpy(t->at[row], (const uint8_t *)from + row * stride, (size_t)t->bytes);
    }
}

static inline void tile_zero(int tile)
{
    emulated_usable(tile);
    memset(emulated[tile].at, 0, sizeof emulated[tile].at);
}

static inline void tile_store(int tile, void *to, int64_t stride)
{
    const emulated_tile *t = &emulated[tile];
    emulated_usable(tile);
    for (int row = 0; row < t->rows; row++) {
        memcpy((uint8_t *)to + row * stride, t->at[row], (size_t)t->bytes);
    }
}

/* rows of sums are rows of x, columns of sums columns of w, and groups of 32 bits meet */
static inline int emulated_fit(int sums, int x, int w)
{
    const int usable = emulated_usable(sums) && emulated_usable(x) && emulated_usable(w);
    const int fit = emulated[sums].rows == emulated[x].rows &&
                    emulated[sums].bytes == emulated[w].bytes &&
                    emulated[x].bytes == 4 * emulated[w].rows && sums != x && x != w && sums != w;
    amx_faults += usable && !fit;
    return usable && fit;
}

static inline float emulated_float(uint32_t bits)
{
    float value;
    if ((bits & 0x7F800000) == 0) { /* denormals are zero */
        bits &= 0x80000000;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float emulated_flush(float x)
{
    return fabsf(x) < 0x1p-126F ? copysignf(0, x) : x;
}

static inline void tile_dot_bf16(int sums, int x, int w)
{
    const int rows = emulated_fit(sums, x, w) ? emulated[sums].rows : 0;
    for (int m = 0; m < rows; m++) {
        for (int n = 0; n < emulated[sums].bytes / 4; n++) {
            float part[2] = {0, 0}; /* even and odd terms */
            float sum;
            for (int k = 0; k < emulated[x].bytes / 4; k++) {
                for (int half = 0; half < 2; half++) {
                    uint16_t a;
                    uint16_t b;
                    memcpy(&a, &emulated[x].at[m][4 * k + 2 * half], sizeof a);
                    memcpy(&b, &emulated[w].at[k][4 * n + 2 * half], sizeof b);
                    part[half] =
                        emulated_flush(fmaf(emulated_float((uint32_t)a << 16),
                                            emulated_float((uint32_t)b << 16), part[half]));
                }
            }
            memcpy(&sum, &emulated[sums].at[m][4 * n], sizeof sum);
            sum = emulated_flush(sum + emulated_flush(part[0] + part[1]));
            memcpy(&emulated[sums].at[m][4 * n], &sum, sizeof sum);
        }
    }
}

static inline void tile_dot_bytes(int sums, int x, int w)
{
    const int rows = emulated_fit(sums, x, w) ? emulated[sums].rows : 0;
    for (int m = 0; m < rows; m++) {
        for (int n = 0; n < emulated[sums].bytes / 4; n++) {
            int32_t sum;
            memcpy(&sum, &emulated[sums].at[m][4 * n], sizeof sum);
            for (int k = 0; k < emulated[x].bytes; k++) {
                sum += emulated[x].at[m][k] * (int8_t)emulated[w].at[k / 4][4 * n + k % 4];
            }
            memcpy(&emulated[sums].at[m][4 * n], &sum, sizeof sum);
        }
    }
}

#endif
