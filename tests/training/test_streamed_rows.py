# SPDX-License-Identifier: Apache-2.0
"""Training from a file that is never read whole gives the bits of training from its rows in memory.

Files of a few rows behave as large ones here: what is kept of them goes into private files at once,
and is made of parts of three rows.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.features.memory import clear_memory
from mtfreeze.files import growing
from mtfreeze.inputs import parts
from mtfreeze.inputs.packing import Encoded
from mtfreeze.inputs.row_encoding import PLAIN
from support.bits import bits
from support.families import load_family, write_family
from support.kinds_of_heads import KINDS_OF_HEADS
from support.process_state import n_open_files
from support.small_tasks import fresh, quick_fit, timeless
from support.texts import LABELS, SENTENCES, TAGGED

pytestmark = [
    pytest.mark.laws,
    pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning"),
    pytest.mark.filterwarnings("ignore::mtfreeze.notices.NoPrefixWarning"),
]


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(growing, "KEPT_BYTES", 0)
    monkeypatch.setattr(parts, "_ROWS", 3)
    clear_memory()
    yield
    mtf.set_threads(1)
    clear_memory()


def _plain(kind: str, row: Any) -> dict[str, Any]:
    """Return a row of `KINDS_OF_HEADS` as JSON lines have it."""
    if kind == "token_classification":
        return {"words": list(row[0]), "tags": list(row[1])}
    if kind == "multi_label_classification":
        return {"text": row[0], "labels": list(row[1])}
    if kind == "question_answering":
        (question, context), answer = row
        given = [{"text": answer, "answer_start": context.index(answer)}]
        return {"question": question, "context": context, "answers": given}
    if kind == "similarity":
        return {"texts": list(row)}
    if kind == "pair_classification":
        return {"texts": list(row[:2]), "label": row[2]}
    return {"text": row[0], "label": row[1]}


def _file(kind: str, folder: Path) -> Path:
    rows = [_plain(kind, row) for row in KINDS_OF_HEADS[kind].rows]
    path = folder / f"{kind}.jsonl"
    path.write_text("\n\n".join(map(json.dumps, rows)), "utf-8")
    return path


def _outcome(model: mtf.MultiTaskModel, run: Any) -> dict[str, Any]:
    return {
        "parameters": bits(model.parameters()),
        "history": [timeless(row) for row in run.history],
        "metrics": timeless(run.metrics),
    }


_CASES = [
    pytest.param(
        kind,
        at,
        "gpt2" if kind == "causal_lm" else "bert",
        marks=[pytest.mark.long] if at else [],
    )
    for kind, one in KINDS_OF_HEADS.items()
    if one.families != ("detr",)  # images stay in files of their own
    for at in range(len(one.specs))
]


@pytest.mark.parametrize(("kind", "at", "family"), _CASES)
def test_every_kind_of_head_trains_to_the_same_bits(
    kind: str, at: int, family: str, tmp_path: Path
) -> None:
    write_family(tmp_path / "model", family)
    path = _file(kind, tmp_path)
    found = []
    for n_threads, rows in ((1, mtf.read_jsonl(path)), (2, mtf.stream(path))):
        mtf.set_threads(n_threads)
        model = load_family(tmp_path / "model", heads=False)
        model.add_head("head", KINDS_OF_HEADS[kind].specs[at]).freeze("embeddings")
        settings = {"group_by_length": at == 1, "eval_every": "epoch", "cache": at == 0 and "auto"}
        task = mtf.Task(train=rows, eval=rows)
        found.append(_outcome(model, quick_fit(model, {"head": task}, **settings)))
        alone = mtf.evaluate(model, {"head": mtf.Task(eval=rows)})
        found[-1]["alone"] = {name: value.hex() for name, value in alone.items()}
        assert rows.in_memory is (n_threads == 1)
    assert found[0] == found[1]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files of two tasks: a CSV whose fields have ends of lines, and tags."""
    rows = zip(SENTENCES, LABELS, strict=True)
    table = "text,label\r\n" + "".join(f'"{text}\n""",{label}\r\n' for text, label in rows)
    (tmp_path / "texts.csv").write_bytes(table.encode())
    tagged = [{"words": list(words), "tags": list(tags)} for words, tags in TAGGED]
    (tmp_path / "tags.jsonl").write_text("\n".join(map(json.dumps, tagged)), "utf-8")
    return {"classifier": tmp_path / "texts.csv", "ner_head": tmp_path / "tags.jsonl"}


def _tasks(files: dict[str, Path], streamed: bool) -> dict[str, mtf.Task]:
    readers = {"classifier": mtf.read_csv, "ner_head": mtf.read_jsonl}
    rows = {
        name: mtf.stream(path) if streamed else readers[name](path) for name, path in files.items()
    }
    return {name: mtf.Task(train=one[:], eval=one) for name, one in rows.items()}


@pytest.mark.parametrize("first", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_run_goes_on_from_either_kind_of_rows(
    first: bool, files: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    def run(model: mtf.MultiTaskModel, streamed: bool, **changes: Any) -> dict[str, Any]:
        settings = {"mixing": "joint", "save_every": 9, "eval_every": 2, **changes}
        return _outcome(model, quick_fit(model, _tasks(files, streamed), **settings))

    folder = tmp_path / "whole"
    whole = fresh(tiny_folder, "backbone[:2]")
    wanted = run(whole, first, output_dir=folder, save_every=1, keep_checkpoints=99)
    middle = sorted((folder / "checkpoints").iterdir())[1]
    clear_memory()
    again = fresh(tiny_folder, "backbone[:2]")
    assert run(again, not first, output_dir=tmp_path / "again", resume=middle) == wanted


def test_predictions_of_parts_are_those_of_the_whole(
    files: dict[str, Path], tiny_folder: Path
) -> None:
    rows = mtf.stream(files["classifier"])
    model = fresh(tiny_folder)
    texts = [str(row.text) for row in rows]
    parted = [
        model.predict_proba("classifier", [str(row.text) for row in rows[at : at + 3]])
        for at in range(0, len(rows), 3)
    ]
    assert bits({"": np.concatenate(parted)}) == bits(
        {"": model.predict_proba("classifier", texts)}
    )


@pytest.mark.long
def test_a_comparison_of_streamed_rows(files: dict[str, Path], tiny_folder: Path) -> None:
    found = []
    for streamed in (False, True):
        model = fresh(tiny_folder)
        tasks = _tasks(files, streamed)
        settings: dict[str, Any] = {"seeds": 1, "epochs": 1, "batch_size": 4, "progress": False}
        compared = mtf.compare(model, tasks, ["backbone", "none"], start="cold", **settings)
        found.append(
            [
                (run.scenario, {n: one.metrics for n, one in run.tasks.items()}, run.error)
                for run in compared.runs
            ]
        )
    assert repr(found[0]) == repr(found[1])


def test_tokens_lie_in_files_that_go_with_the_rows(
    files: dict[str, Path], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    n_open = n_open_files()
    model = fresh(tiny_folder)
    streamed, whole = mtf.stream(files["classifier"]), mtf.read_csv(files["classifier"])
    mine: Encoded = model.encoder.encode_examples(streamed, PLAIN)
    other = model.encoder.encode_examples(whole, PLAIN)
    assert not mine.in_memory and other.in_memory and 0 < mine.n_bytes < other.n_bytes
    assert bits(mine.inputs) == bits(other.inputs)
    for name in ("offsets", "truncated", "row_lengths"):
        assert getattr(mine, name).tolist() == getattr(other, name).tolist()
    assert list(place.iterdir()) == []  # without a name: nothing is left behind
    assert model.encoder.encode_examples(streamed, PLAIN) is mine
    del streamed, mine
    gc.collect()
    assert n_open_files() == n_open


def test_half_a_character_is_named_by_its_row(tiny_folder: Path, tmp_path: Path) -> None:
    lines = ['{"text": "fine", "label": "positive"}'] * 9
    lines[7] = '{"text": "half \\ud83d", "label": "negative"}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    rows = mtf.stream(tmp_path / "a.jsonl")
    with pytest.raises(mtf.DataError, match=r"a\.jsonl:8: .*U\+D83D at character 5"):
        quick_fit(fresh(tiny_folder), {"classifier": mtf.Task(train=rows)})


def test_contexts_stay_in_the_file(tiny_folder: Path, tmp_path: Path) -> None:
    path = _file("question_answering", tmp_path)
    spec = mtf.QuestionAnswering(max_length=16)
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    mine, other = (
        model.encoder.encode_examples(spec.rows(rows), spec.encoding)
        for rows in (mtf.stream(path), mtf.read_jsonl(path))
    )
    assert len(mine.contexts) == len(other.contexts) == mine.n_rows
    assert list(mine.contexts) == list(other.contexts) and mine.contexts[-1] == other.contexts[-1]


def test_a_question_without_room_is_named_as_of_rows_in_memory(
    tiny_folder: Path, tmp_path: Path
) -> None:
    path = _file("question_answering", tmp_path)
    long = {"question": "who was it " * 20, "context": "it was Ada", "answers": []}
    path.write_text(f"{path.read_text()}\n{json.dumps(long)}\n")
    said = []
    for rows in (mtf.read_jsonl(path), mtf.stream(path)):
        model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
        model.add_head("head", mtf.QuestionAnswering())
        with pytest.raises(mtf.DataError, match=r"expected a question that leaves room") as error:
            quick_fit(model, {"head": mtf.Task(train=rows)})
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_file_that_changes_before_a_run_ends_it_with_its_row(
    files: dict[str, Path], tiny_folder: Path
) -> None:
    tasks = _tasks(files, True)
    path = files["classifier"]
    content = path.read_bytes()
    model = fresh(tiny_folder)
    before = bits(model.parameters())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(mtf.DataError, match=r"texts\.csv:\d+: .*changed since"):
        quick_fit(model, tasks)
    assert bits(model.parameters()) == before


def test_a_run_under_way_does_not_need_the_file(
    files: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    class Emptied(mtf.Callback):
        def on_train_begin(self, context: Any) -> None:
            for path in files.values():
                path.write_bytes(b"")

    settings: dict[str, Any] = {"save_every": 2, "eval_every": 2}
    whole, model = fresh(tiny_folder), fresh(tiny_folder)
    run = quick_fit(whole, _tasks(files, False), output_dir=tmp_path / "whole", **settings)
    wanted = _outcome(whole, run)
    tasks = _tasks(files, True)
    emptied = {"callbacks": [Emptied()], "output_dir": tmp_path / "emptied", **settings}
    assert _outcome(model, quick_fit(model, tasks, **emptied)) == wanted


def test_no_room_for_temporary_files_says_where(
    files: dict[str, Path], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OSError, match=r"TMPDIR.*missing"):
        quick_fit(fresh(tiny_folder), _tasks(files, True))
