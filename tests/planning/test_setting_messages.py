# SPDX-License-Identifier: Apache-2.0
"""What is said of a wrong setting fits that setting: its name, its own bounds, what was found."""

from __future__ import annotations

import re

import pytest

import mtfreeze as mtf
from mtfreeze.planning.settings import RUN_SETTINGS
from support.small_tasks import two_tasks

NUMBERS = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")
NAMED = {"betas": {"0.9", "0.999"}, "temperature": {"0", "1"}, "seed": {"0", str(2**64 - 1)}}
"""Examples and bounds of settings of another kind than a number from 0 or 1."""


@pytest.mark.parametrize("name", sorted(RUN_SETTINGS))
@pytest.mark.parametrize("value", [-5, "-5"])
def test_no_number_of_another_setting(
    two_head_model: mtf.MultiTaskModel, name: str, value: object
) -> None:
    with pytest.raises((TypeError, mtf.ConfigError)) as caught:
        mtf.fit(two_head_model, two_tasks(), progress=False, **{name: value})
    message = str(caught.value)
    assert name in message
    assert set(NUMBERS.findall(message)) <= {"-5", "-5.0", "0", "1", *NAMED.get(name, set())}
