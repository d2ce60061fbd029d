# SPDX-License-Identifier: Apache-2.0
"""Calls that change a model, interrupted at every place; and that no public call is left out."""

from __future__ import annotations

import warnings
from functools import partial

import pytest

from drills import interrupt_anywhere as drill
from support import verbs

BRIEF = ("mark_trained", "remove_head", "set_freeze_state", "set_parameter")


def test_every_public_call_is_interrupted_and_watched() -> None:
    assert verbs.missing() == set()


@pytest.mark.parametrize(
    "name",
    [
        *BRIEF,
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in [*sorted(verbs.CHANGES), "frozen"]
            if name not in (*BRIEF, "step", "add_head from_pretrained")
        ),
    ],
)
def test_an_interrupt_at_any_place_leaves_the_state_before_or_after(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = drill.reference(name)
        for moments in reference.moments:
            model, folder = verbs.twin(drill.place().model), drill.own_folder()
            with pytest.raises(KeyboardInterrupt):
                drill.at_moment(partial(drill.ALL[name], model, folder), moments[0])
            assert drill.fault(name, model, folder) is None, f"moment {moments[0]}"
