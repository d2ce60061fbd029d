# SPDX-License-Identifier: Apache-2.0
"""Bugs to plant in convolutions in bf16 and in runs that take images a few at a time."""

from __future__ import annotations

from .bugs import Bug

LAWS = "tests/families/test_resnet_laws.py"

BUGS_IN_IMAGES = (
    Bug(
        "images that are taken later write where the first ones did",
        "csrc/plan/run.c",
        "return region->early ? 0 : part->in_block[tensor->space] * tensor->width;",
        "return 0;",
        LAWS,
    ),
    Bug(
        "what a step reads as floats is kept in bf16",
        "csrc/plan/places.c",
        "if (step->in[k] != MTF_NO_TENSOR && !(halves.in >> k & 1u)) {",
        "if (step->in[k] == plan->program->n_tensors && !(halves.in >> k & 1u)) {",
        LAWS,
    ),
    Bug(
        "the runs of a window begin where those of its row do",
        "csrc/ops/windows.c",
        "return place - y * image.out_width;",
        "return 0;",
        "c:test_op_convolution_bf16",
    ),
    Bug(
        "NaN of the other sign loses against numbers",
        "csrc/base/bf16.h",
        "return (int16_t)(uint16_t)(ordered - 0x7F);",
        "return (int16_t)ordered;",
        "c:test_kernels_largest",
    ),
    Bug(
        "the sums of the last tile go nowhere",
        "csrc/kernels/amx/affine_product.c",
        "    finish(&run);\n    tiles_release();",
        "    tiles_release();",
        "c:test_kernels_affine_amx",
    ),
    Bug(
        "where a row of y lies as floats, it is not rounded",
        "csrc/blas/affine.c",
        "        if (p->y_half == NULL) {\n",
        "        if (p->y_half == NULL) {\n"
        "            for (int64_t j = 0; j < p->n; j++) {\n"
        "                p->y[i * p->ldy + j] = sums[i * p->n + j];\n            }\n"
        "        } else if (p->y == NULL && p->y_half == NULL) {\n",
        "c:test_kernels_affine",
    ),
)
