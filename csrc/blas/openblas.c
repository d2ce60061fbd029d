/* openblas.c: the only file that knows OpenBLAS (the build of scipy-openblas32: prefixed symbols,
 * 32-bit integers). It is opened by absolute path with local symbols, so that it never meets the
 * copy that NumPy carries, and runs on one thread: our pool works above it. Only levels whose
 * products packed.c leaves to it load it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getcpu, sched_setaffinity */
#endif

#include "openblas.h"

#include "../base/status.h"

#if MTF_WITH_OPENBLAS

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANS = 111, CBLAS_TRANS = 112 };

typedef void (*sgemm_fn)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                         float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                         float *c, int ldc);
typedef void (*set_threads_fn)(int n);
typedef char *(*get_config_fn)(void);

static struct {
    void *library;
    sgemm_fn sgemm;
    char path[1024];
    char text[160];
} openblas;

/* A function's address; ISO C has no cast from void * to it. 0: the library lacks it. */
static int find_symbol(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* OpenBLAS starts a thread for every CPU of its process while it is loaded, and each of them spins
 * for about 0.1 s before it sleeps. A caller that may use one CPU for that moment gets none. */
static void *open_library(const char *path)
{
#ifdef __linux__
    cpu_set_t before;
    const int cpu = sched_getcpu();
    const size_t place = cpu >= 0 && cpu < CPU_SETSIZE ? (size_t)cpu : 0;
    const int known =
        sched_getaffinity(0, sizeof before, &before) == 0 && CPU_ISSET(place, &before);
    if (known) {
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(place, &here);
        (void)sched_setaffinity(0, sizeof here, &here);
    }
#endif
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#ifdef __linux__
    if (known) {
        (void)sched_setaffinity(0, sizeof before, &before);
    }
#endif
    return library;
}

mtf_status mtf_openblas_load(const char *path, mtf_error *err)
{
    if (openblas.sgemm != NULL) {
        if (strcmp(path, openblas.path) == 0) {
            return MTF_OK;
        }
        return mtf_fail(err, MTF_ERR_STATE,
                        "OpenBLAS is already loaded from %.200s; it cannot be changed to %.200s in "
                        "the same process",
                        openblas.path, path);
    }
    if (path[0] != '/' || strlen(path) >= sizeof openblas.path) {
        return mtf_fail(err, MTF_ERR_IO,
                        "OpenBLAS must be given by an absolute path of less than %zu characters, "
                        "found '%.200s'",
                        sizeof openblas.path, path);
    }
    void *library = open_library(path);
    if (library == NULL) {
        return mtf_fail(
            err, MTF_ERR_IO,
            "OpenBLAS could not be loaded (%.400s); reinstall scipy-openblas32, or build with "
            "MTF_BLAS=ref",
            dlerror());
    }
    sgemm_fn sgemm;
    set_threads_fn set_threads;
    get_config_fn get_config;
    if (!find_symbol(library, "scipy_cblas_sgemm", &sgemm) ||
        !find_symbol(library, "scipy_openblas_set_num_threads", &set_threads) ||
        !find_symbol(library, "scipy_openblas_get_config", &get_config)) {
        (void)dlclose(library);
        return mtf_fail(err, MTF_ERR_IO,
                        "%.300s is no OpenBLAS of scipy-openblas32: it lacks scipy_cblas_sgemm; "
                        "reinstall it, or build with MTF_BLAS=ref",
                        path);
    }
    set_threads(1);
    /* its text begins with the name: "OpenBLAS 0.3.x ..." */
    const char *config = get_config();
    const char *version = strchr(config, ' ');
    (void)snprintf(openblas.text, sizeof openblas.text, "openblas%s",
                   version != NULL ? version : config);
    for (size_t end = strlen(openblas.text); end > 0 && openblas.text[end - 1] == ' '; end--) {
        openblas.text[end - 1] = 0;
    }
    strcpy(openblas.path, path);
    openblas.library = library;
    openblas.sgemm = sgemm;
    return MTF_OK;
}

int mtf_openblas_is_loaded(void)
{
    return openblas.sgemm != NULL;
}

const char *mtf_openblas_text(void)
{
    return openblas.sgemm != NULL ? openblas.text : "reference";
}

void mtf_openblas_gemm(mtf_real *c, int64_t ldc, const mtf_real *a, int64_t lda, int transpose_a,
                       const mtf_real *b, int64_t ldb, int transpose_b, int64_t m, int64_t n,
                       int64_t k, mtf_real beta)
{
    openblas.sgemm(CBLAS_ROW_MAJOR, transpose_a ? CBLAS_TRANS : CBLAS_NO_TRANS,
                   transpose_b ? CBLAS_TRANS : CBLAS_NO_TRANS, (int)m, (int)n, (int)k, 1.0F, a,
                   (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

#else

mtf_status mtf_openblas_load(const char *path, mtf_error *err)
{
    return mtf_fail(err, MTF_ERR_IO,
                    "this build has no OpenBLAS (MTF_BLAS=ref) and cannot load '%.300s'; rebuild "
                    "with MTF_BLAS=openblas",
                    path);
}

int mtf_openblas_is_loaded(void)
{
    return 0;
}

const char *mtf_openblas_text(void)
{
    return "reference";
}

void mtf_openblas_gemm(mtf_real *c, int64_t ldc, const mtf_real *a, int64_t lda, int transpose_a,
                       const mtf_real *b, int64_t ldb, int transpose_b, int64_t m, int64_t n,
                       int64_t k, mtf_real beta)
{
    (void)c, (void)ldc, (void)a, (void)lda, (void)transpose_a, (void)b, (void)ldb;
    (void)transpose_b, (void)m, (void)n, (void)k, (void)beta; /* never called: not loaded */
}

#endif
