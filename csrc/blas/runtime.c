/* runtime.c: the public calls that choose kernels and BLAS. They stand here because this is the
 * lowest folder that sees threads, kernels and OpenBLAS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/cpu.h"
#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "../kernels/kernels.h"
#include "check.h"
#include "openblas.h"
#include "packed.h"

mtf_status mtf_runtime_init(const char *isa, mtf_error *err)
{
    mtf_status status = mtf_threads_check(err);
    if (status != MTF_OK) {
        return status;
    }
    status = mtf_kernels_choose(isa != NULL ? isa : mtf_cpu_isa_wanted(), err);
    mtf_kernels_count(atomic_load(&mtf_flops_on));
    return status;
}

void mtf_flops_count(int on)
{
    mtf_kernels_count(on);
    for (int kind = 0; on && kind < MTF_FLOPS_KINDS; kind++) {
        atomic_store(&mtf_flops_counted[kind], 0);
    }
    atomic_store(&mtf_flops_on, on != 0);
}

mtf_status mtf_runtime_load_blas(const char *path, mtf_error *err)
{
    const int was_loaded = mtf_openblas_is_loaded();
    mtf_status status = mtf_openblas_load(path, err);
    return status != MTF_OK || was_loaded ? status : mtf_gemm_check_rows(err);
}

void mtf_runtime_get_info(mtf_runtime_info *info)
{
    static char compiled[MTF_KERNELS_LIST];
    static char available[MTF_KERNELS_LIST];
    mtf_kernels_list(compiled, sizeof compiled, 0);
    mtf_kernels_list(available, sizeof available, 1);
    info->isa = mtf_kernel->isa;
    info->isa_compiled = compiled;
    info->isa_available = available;
    info->blas = mtf_openblas_text();
    for (int i = 0; i < MTF_N_PRECISIONS; i++) {
        /* any shape that is large enough for a packed product */
        const int packed = mtf_packs(1024, 1024, (mtf_precision)i);
        info->product_isa[i] = packed ? mtf_kernel->product_isa[i] : "blas";
    }
    info->n_threads = mtf_threads_get();
    info->blas_rows_checked = mtf_gemm_rows_hold();
}
