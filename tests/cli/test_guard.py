# SPDX-License-Identifier: Apache-2.0
"""How a command ends, whatever happened: exit codes, and what is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from mtfreeze.checks import check_integer
from mtfreeze.cli.compare import _pool, check_comparison
from mtfreeze.cli.guard import FAILED, INTERRUPTED, USAGE, FrozenChanged, run_guarded


def ends(error: BaseException) -> int:
    def load() -> click.Command:
        raise error

    return run_guarded(load, [], "it")


def test_a_mistake_of_a_library_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(lambda: int(cast(Any, [])), [], "it") == USAGE
    assert "Traceback" in capsys.readouterr().err


def test_a_library_in_a_folder_of_our_name_is_none_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    library: dict[str, Any] = {}
    file = "/home/me/mtfreeze/.venv/lib/python3/site-packages/other.py"
    exec(compile("def load(): raise ValueError('no')", file, "exec"), library)
    assert run_guarded(library["load"], [], "it") == USAGE
    assert "Traceback" in capsys.readouterr().err
    assert run_guarded(lambda: cast(Any, check_integer("n", 0, 1)), [], "it") == USAGE
    assert capsys.readouterr().err.startswith("it: n must be")


def test_a_reader_that_goes_away_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(BrokenPipeError()) == FAILED
    assert capsys.readouterr() == ("", "")
    assert ends(KeyboardInterrupt()) == INTERRUPTED


def test_comparisons_end_with_the_worst_of_what_happened() -> None:
    moved = SimpleNamespace(scenario="none", seed=1, verdict="1 moved", frozen_ok=False)
    found: dict[str, Any] = {"frozen_ok": True, "interrupted": False, "failed": {}, "runs": [moved]}

    def code(**changes: Any) -> int:
        return check_comparison(cast(Any, SimpleNamespace(**{**found, **changes})))

    assert code() == 0
    assert code(failed={"none": "full"}) == FAILED
    assert code(failed={"none": "full"}, interrupted=True) == INTERRUPTED
    with pytest.raises(FrozenChanged, match="found none, seed 1: 1 moved"):
        code(frozen_ok=False)


def test_workers_are_there_for_the_block() -> None:
    with _pool(0) as none:
        assert none is None
    with _pool(1) as pool:
        assert pool is not None
        assert pool.submit(abs, -1).result() == 1
