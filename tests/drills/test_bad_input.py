# SPDX-License-Identifier: Apache-2.0
"""Bad input: a typed error with a message worth reading, and a model that is as it was.

The messages are kept in ``bad_input_messages.txt``, so that a change of one is seen and read:
``PYTHONPATH=tests python tests/drills/test_bad_input.py`` writes the file anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from support.bad_input_cases import CASES, FOREIGN
from support.bad_inputs import Place
from support.bits import bits
from support.texts import LABELS, SENTENCES, TAGS
from support.tiny_bert import write_tiny_bert

GOLDEN = Path(__file__).with_name("bad_input_messages.txt")
TYPES = (mtf.Error, TypeError, OSError)


def build_model(folder: Path) -> mtf.MultiTaskModel:
    """Return the model that no case may change."""
    model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(folder))
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    return model.add_head("ner_head", mtf.TokenClassification(TAGS))


def message_of(name: str, model: mtf.MultiTaskModel, folder: Path) -> str:
    """Run a case and return its error as one line, without the names of temporary folders."""
    folder.mkdir()
    try:
        CASES[name](Place(model, folder))
    except TYPES as error:
        assert error.__cause__ is None or isinstance(error.__cause__, Exception)
        text = f"{type(error).__name__}: {error}"
    else:
        pytest.fail(f"{name!r} was accepted")
    text = text.replace(str(folder.resolve()), "<tmp>").replace(str(folder), "<tmp>")
    text = re.sub(r"\s+", " ", text)
    return re.sub(FOREIGN[name], "...", text) if name in FOREIGN else text


@pytest.fixture(scope="module")
def shared_model(tmp_path_factory: pytest.TempPathFactory) -> mtf.MultiTaskModel:
    return build_model(tmp_path_factory.mktemp("bad") / "tiny")


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" | ", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("name", CASES)
def test_bad_input(
    name: str, shared_model: mtf.MultiTaskModel, golden: dict[str, str], tmp_path: Path
) -> None:
    weights, state = bits(shared_model.parameters()), shared_model.freeze_state()
    vectors = shared_model.encode(SENTENCES)
    assert message_of(name, shared_model, tmp_path / "case") == golden[name]
    assert bits(shared_model.parameters()) == weights
    assert shared_model.freeze_state() == state
    assert list(shared_model.heads) == ["classifier", "ner_head"]
    assert np.array_equal(shared_model.encode(SENTENCES), vectors)


def test_there_are_many_and_they_differ(golden: dict[str, str]) -> None:
    assert set(golden) == set(CASES)
    assert len(CASES) >= 100
    kinds = {re.sub(r"'[^']*'|\"[^\"]*\"|[\d.]+|<tmp>\S*", "_", text) for text in golden.values()}
    assert len(kinds) >= 60


def test_messages_say_what_was_found_and_nothing_of_c(golden: dict[str, str]) -> None:
    for name, text in golden.items():
        kind, _, message = text.partition(": ")
        assert len(message) > 20, name
        assert not re.search(r"\bmtf_|0x[0-9a-f]{6}|Traceback|<object|NoneType' object", text), name
        assert kind != "Error", name


def test_everything_frozen_evaluates_and_says_so(
    shared_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shared_model.copy()
    model.mark_trained(model.heads)
    rows = list(zip(SENTENCES, LABELS, strict=True))
    before = bits(model.freeze().parameters())
    run = mtf.fit(model, {"classifier": mtf.Task(train=rows, eval=rows)}, epochs=1)
    said = "".join(capsys.readouterr())
    assert "nothing trains: everything is frozen; this run only evaluates" in said
    assert 0 <= run.metrics["eval_classifier_accuracy"] <= 1
    assert bits(model.parameters()) == before


if __name__ == "__main__":
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as root:
        one = build_model(Path(root) / "tiny")
        with GOLDEN.open("w", encoding="utf-8") as out:
            print(
                "# case | error. Written by tests/drills/test_bad_input.py; read what changes.",
                file=out,
            )
            for number, case in enumerate(CASES):
                try:
                    print(f"{case} | {message_of(case, one, Path(root) / str(number))}", file=out)
                except BaseException:
                    traceback.print_exc()
                    print(f"FAILED: {case}", file=sys.stderr)
