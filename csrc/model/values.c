/* values.c: counted owners of parameters' memory; see values.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include "../base/alloc.h"

#include <stdatomic.h>

struct mtf_values {
    atomic_int n_owners;
    mtf_real *data; /* (n) */
};

mtf_values *mtf_values_new(int64_t n)
{
    mtf_values *values = mtf_alloc(sizeof *values);
    if (values == NULL) {
        return NULL;
    }
    atomic_init(&values->n_owners, 1);
    values->data = mtf_alloc_array((size_t)n, sizeof *values->data);
    if (values->data == NULL) {
        mtf_free(values);
        return NULL;
    }
    return values;
}

mtf_values *mtf_values_hold(mtf_values *values)
{
    (void)atomic_fetch_add(&values->n_owners, 1);
    return values;
}

void mtf_values_release(mtf_values *values)
{
    if (values != NULL && atomic_fetch_sub(&values->n_owners, 1) == 1) {
        mtf_free(values->data);
        mtf_free(values);
    }
}

mtf_real *mtf_values_data(const mtf_values *values)
{
    return values->data;
}
