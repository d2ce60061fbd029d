# SPDX-License-Identifier: Apache-2.0
"""`show_config` says what makes the products of each precision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from mtfreeze.runtime import threads


def test_products_are_made_by_the_library_or_by_instructions() -> None:
    levels = ["blas", *["avx2"] * (len(threads.PRECISIONS) - 1)]
    info = SimpleNamespace(product_isa=levels, blas="OpenBLAS 1.2")
    found = threads._products(cast(Any, info))
    assert found[threads.PRECISIONS[0]] == "OpenBLAS 1.2"
    assert all("OpenBLAS" not in found[name] for name in threads.PRECISIONS[1:])
