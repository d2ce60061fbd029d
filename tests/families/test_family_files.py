# SPDX-License-Identifier: Apache-2.0
"""Configurations and weights that do not fit a family: typed errors that name what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from support.families import CASES, NAMES, family_tensors, load_family, write_family
from support.tiny_bert import write_json


def other_value(allowed: tuple[Any, ...]) -> Any:
    """Return a value that a fixed key must not have."""
    first = next((value for value in allowed if value not in (None, {}, [])), None)
    if isinstance(first, bool):
        return not first
    if isinstance(first, int | float):
        return first + 1
    return "something else" if isinstance(first, str) else {"a": 1}


def bad_configs(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key that a message must name, and the change of ``config.json``."""
    family, config = FAMILIES[name], CASES[name].whole()
    for key in family.required:
        yield key, {key: None}
        yield key, {key: "many"}
        yield key, {key: 0}
        yield key, {key: -3}
    for key, allowed in family.fixed.items():
        yield key, {key: other_value(allowed)}
    for key, value in config.items():
        if key in family.training_only:
            yield key, {key: 1.5}
            yield key, {key: "high"}
        elif isinstance(value, str) and key != "model_type":
            yield key, {key: "no such thing"}
        elif key in family.computed and isinstance(value, int | float):
            yield key, {key: "some"}
            yield key, {key: -3}
    yield "warp_factor", {"warp_factor": 9}


@pytest.mark.parametrize("name", NAMES)
def test_bad_configurations(name: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path / name, name)
    cases = list(bad_configs(name))
    assert len(cases) >= 10
    for key, change in cases:
        config = {k: v for k, v in CASES[name].whole(**change).items() if v is not None}
        write_json(folder / "config.json", config)
        with pytest.raises((mtf.ConfigError, mtf.CheckpointError)) as caught:
            load_family(folder)
        assert key in str(caught.value), (change, str(caught.value))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_bad_weights(name: str, tmp_path: Path) -> None:
    """A tensor that is missing, left over, of another shape, of whole numbers: it is named."""
    good = family_tensors(CASES[name].whole())
    family = FAMILIES[name]
    inner = next(key for key in good if key.startswith(family.layer_stem))
    pooler = [key for key in good if family.pooler and key.startswith(family.pooler)]
    used = [key for key in good if key not in pooler]
    spoiled = [
        (used[0], {k: v for k, v in good.items() if k != used[0]}),
        (inner, {k: v for k, v in good.items() if k != inner}),
        (inner, {**good, inner: good[inner][..., :-1].copy()}),
        (used[-1], {**good, used[-1]: good[used[-1]].astype(np.int32)}),
        (family.layer_key, {**good, inner.replace(".0.", ".97.", 1): good[inner]}),
    ]
    for place, (key, tensors) in enumerate(spoiled):
        folder = write_family(tmp_path / f"{place}", name, tensors=tensors)
        with pytest.raises(mtf.CheckpointError) as caught:
            load_family(folder)
        assert key in str(caught.value), str(caught.value)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_values_and_tokenizers_that_do_not_fit(name: str, tmp_path: Path) -> None:
    """A number that is not finite names its tensor; ids without a row name both numbers."""
    good = family_tensors(CASES[name].whole())
    inner = next(key for key in good if key.startswith(FAMILIES[name].layer_stem))
    for odd in (np.nan, np.inf):
        spoiled = good[inner].copy()
        spoiled.reshape(-1)[-1] = odd
        folder = write_family(tmp_path / f"{odd}", name, tensors={**good, inner: spoiled})
        with pytest.raises(mtf.CheckpointError, match=re.escape(inner)):
            load_family(folder)
    fewer = CASES[name].n_pieces - 3
    folder = write_family(tmp_path / "fewer", name, vocab_size=fewer)
    with pytest.raises(mtf.CheckpointError, match=f"{fewer}"):
        load_family(folder)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_prefixes_of_task_models_are_taken_off(name: str, tmp_path: Path) -> None:
    tensors = family_tensors(CASES[name].whole())
    plain = load_family(write_family(tmp_path / "plain", name, tensors=tensors))
    for prefix in FAMILIES[name].prefixes:
        longer = {prefix + key: values for key, values in tensors.items()}
        head = {"lm_head.bias": np.ones(3, np.float32)}
        folder = write_family(tmp_path / "task", name, tensors={**longer, **head})
        model = load_family(folder)
        assert {k: v.tobytes() for k, v in model.parameters().items()} == {
            k: v.tobytes() for k, v in plain.parameters().items()
        }
        assert "lm_head.bias" in model.unused


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_texts_beyond_the_longest_are_cut(name: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path / name, name)
    longest = max(one.max_length for one in load_family(folder)._core.spaces())
    with pytest.raises(mtf.ConfigError, match=f"max_length must be from 3 to {longest}"):
        load_family(folder, max_length=longest + 1)
    model = load_family(folder, max_length=longest)
    encoded = model.encoder.encode_texts(["good " * 500])
    assert len(encoded[0]) == longest and encoded.truncated.tolist() == [True]
    assert np.isfinite(model.encode(["good " * 500])).all()


def test_no_family_is_proposed_for_another(tmp_path: Path) -> None:
    """A name that is nearly a family's is another computation, not a slip of the pen."""
    folder = write_family(tmp_path / "bert", "bert")
    for other in ("bart", "roberto", "deberta", "flaubert", "squeezebert", "funnel", "gpt9"):
        write_json(folder / "config.json", CASES["bert"].whole(model_type=other))
        with pytest.raises(mtf.ConfigError, match=f"found '{other}'") as caught:
            load_family(folder)
        assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize(
    ("pad", "said"),
    [(63, "leaves no position"), (10_000, "pad_token_id"), (True, "pad_token_id")],
)
def test_padding_that_leaves_no_position(name: str, pad: Any, said: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path / name, name)
    write_json(folder / "config.json", CASES[name].whole(pad_token_id=pad))
    with pytest.raises(mtf.ConfigError, match=said):
        load_family(folder)


@pytest.mark.parametrize(("pad", "longest"), [(0, 63), (1, 62), (5, 58), (None, 62)])
def test_the_longest_text_ends_below_the_padding(pad: Any, longest: int, tmp_path: Path) -> None:
    """Positions above that of padding: 512 of 514 where its id is 1, as where no file says it."""
    folder = write_family(tmp_path / "model", "roberta", pad_token_id=pad)
    model = load_family(folder, max_length=longest)
    assert model.max_length == longest
    with pytest.raises(mtf.ConfigError, match=f"from 3 to {longest}"):
        load_family(folder, max_length=longest + 1)
