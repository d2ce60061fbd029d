# SPDX-License-Identifier: Apache-2.0
"""Configurations as transformers writes and reads them: none is refused, a missing key is theirs.

A folder that was saved by transformers has every key of its class. A key that is not there has the
default of that class, so a model without the key is the model with that value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtfreeze import _core
from mtfreeze.errors import CheckpointError
from mtfreeze.families import FAMILIES, core_config
from support.families import CASES, NAMES, family_tensors, load_family, write_family

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch")]


def written(transformers: Any, name: str, **changes: Any) -> dict[str, Any]:
    """Return ``config.json`` as transformers completes it."""
    values = {
        key: value for key, value in CASES[name].whole(**changes).items() if value is not None
    }
    kind = values.pop("model_type")
    whole: dict[str, Any] = transformers.AutoConfig.for_model(kind, **values).to_dict()
    return whole


def core_values(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return core_config(FAMILIES[name], config, "config.json")


@pytest.mark.parametrize("name", NAMES)
def test_what_transformers_writes_is_the_same_model(name: str, transformers: Any) -> None:
    for changes in ({}, CASES[name].odd, CASES[name].larger):
        given = {k: v for k, v in CASES[name].whole(**changes).items() if v is not None}
        ours, theirs = (
            core_values(name, given),
            core_values(name, written(transformers, name, **changes)),
        )
        assert {key: theirs.get(key) for key in ours} == ours
        assert shapes(theirs) == shapes(ours)


def shapes(build: dict[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    found = _core.outline({**build, "pooling": "mean", "normalize": True}, {})
    return [(info.key, tuple(info.shape)) for info in found]


def optional() -> Iterator[tuple[str, str]]:
    """Yield each family with each key that may be missing."""
    for name in NAMES:
        family = FAMILIES[name]
        for key in family.computed:
            if key not in (*family.required, "model_type"):
                yield name, key


@pytest.mark.long
@pytest.mark.parametrize(("name", "key"), list(optional()))
def test_a_missing_key_has_the_default_of_transformers(
    name: str, key: str, tmp_path: Path, transformers: Any
) -> None:
    """Embeddings, and the gradient of a head where dropout acts; or the key is asked for."""
    given = {k: v for k, v in CASES[name].whole().items() if k != key}
    default = written(transformers, name, **{key: None}).get(key)
    if default is None:
        pytest.skip("a key that transformers no longer writes")
    tensors = family_tensors({**given, key: default})
    missing = write_family(tmp_path / "missing", name, tensors=tensors, **{key: None})
    try:
        found = results(missing)
    except CheckpointError as error:
        assert f"not found: '{key}'" in str(error)
        return
    default_folder = write_family(tmp_path / "default", name, tensors=tensors, **{key: default})
    assert found == results(default_folder)


def results(folder: Path) -> list[bytes]:
    """Return what shows every key of the computation and of dropout."""
    model = load_family(folder)
    found = model.gradients({"classifier": [("good", "positive"), ("a bad one", "negative")]})
    return [model.encode(["good", "a bad one"]).tobytes(), found["classifier.weight"].tobytes()]
