# SPDX-License-Identifier: Apache-2.0
"""The tables of planted bugs fit the tree; that each bug is seen is the drill's work."""

from __future__ import annotations

import pytest

from drills.seeded_bugs import BUGS, ROOT
from support.bugs import Bug


def test_there_are_enough_of_both_kinds() -> None:
    assert len(BUGS) >= 60
    assert sum(bug.in_c for bug in BUGS) >= 30
    assert len({bug.what for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    text = (ROOT / bug.path).read_text("utf-8")
    assert text.count(bug.right) == 1 and bug.wrong != bug.right
