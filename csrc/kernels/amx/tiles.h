/* tiles.h: the tile instructions that the products use, so that a test can put plain C in their
 * place: with MTF_AMX_EMULATED the same names are functions of tests/c/amx_emulation.h.
 *
 * Numbers of tiles must be constants. Compilers do not know that tile loads and stores touch memory
 * (gcc 12): tiles_fence() between them and ordinary code. Reference: Intel, Architecture
 * Instruction Set Extensions Programming Reference, chapter 3 "Intel AMX".
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AMX_TILES_H
#define MTF_KERNELS_AMX_TILES_H

#define TILE_ROWS  16 /* of palette 1 */
#define TILE_BYTES 64 /* a row */

#ifdef MTF_AMX_EMULATED
#include <amx_emulation.h> /* of the test build */
#else
#include <immintrin.h>
#include <stdatomic.h>

/* Loads the configuration, 64 bytes; each thread has its own. */
#define tiles_configure(bytes) _tile_loadconfig(bytes)
#define tiles_release()        _tile_release()
#define tiles_fence()          atomic_signal_fence(memory_order_seq_cst)

#define tile_zero(tile)               _tile_zero(tile)
#define tile_load(tile, from, stride) _tile_loadd(tile, from, stride)
#define tile_store(tile, to, stride)  _tile_stored(tile, to, stride)
#define tile_dot_bf16(sums, x, w)     _tile_dpbf16ps(sums, x, w)
#define tile_dot_bytes(sums, x, w)    _tile_dpbusd(sums, x, w)
#endif

#endif
