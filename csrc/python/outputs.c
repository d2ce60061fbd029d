/* The outputs of a model: finding one by name, and how many rows it has for a batch.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

static const char *output_name(const mtf_model *model, size_t index)
{
    mtf_output_info info;
    mtf_model_get_output(model, index, &info);
    return info.name;
}

int mtf_py_find_output(const mtf_py_model *self, const char *name, mtf_output_info *info)
{
    size_t n = mtf_model_n_outputs(self->model);
    for (size_t i = 0; i < n; i++) {
        mtf_model_get_output(self->model, i, info);
        if (strcmp(info->name, name) == 0) {
            return 0;
        }
    }
    mtf_py_raise_unknown(self, "output", name, n, output_name);
    return -1;
}

npy_intp mtf_py_output_rows(const mtf_output_info *info, const mtf_py_batch *batch)
{
    return mtf_py_rows(&batch->offsets, info->space);
}
