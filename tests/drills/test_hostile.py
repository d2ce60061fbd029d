# SPDX-License-Identifier: Apache-2.0
"""The drill `hostile` knows every public call, draws enough cases, and finds what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

import mtfreeze as mtf
from drills import hostile
from support.hostile_calls import CALLS, public_names
from support.hostile_values import VALUES, raising


def test_every_public_call_is_in_the_table() -> None:
    missing = set(public_names()) - set(CALLS)
    assert not missing, f"give these a line in support/hostile_calls.py: {sorted(missing)}"
    assert len(VALUES) >= 60


def raised_by(call: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:
        call()
    return caught.value


def test_it_tells_errors_of_ours_from_others() -> None:
    def stumble() -> None:
        len(None)  # type: ignore[arg-type]

    def refuse() -> None:
        raise TypeError("n must be an int; found None")

    assert hostile.fault_of(raised_by(refuse)) is None
    assert "by accident" in str(hostile.fault_of(raised_by(stumble)))
    assert hostile.fault_of(raised_by(lambda: {}["a"]))
    assert "characters" in str(hostile.fault_of(mtf.ConfigError("x" * 5000)))
    assert hostile.fault_of(raised_by(lambda: iter(raising("__iter__")))) is None
