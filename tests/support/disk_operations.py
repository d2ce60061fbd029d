# SPDX-License-Identifier: Apache-2.0
"""What the package does with disks, as operations that drills disturb.

An operation prepares a folder, acts in it, says at any moment afterwards which of its states the
folder is in (`state`, which raises AssertionError for one that is none of them), and what must hold
once it was carried through (`finished`).
"""

from __future__ import annotations

import atexit
import builtins
import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import mtfreeze as mtf
from mtfreeze.features.folder import folder_info
from mtfreeze.training import checkpoint
from support import small_tasks
from support.bits import bits
from support.texts import SENTENCES, TAGS
from support.tiny_bert import write_tiny_bert

__all__ = ["OPERATIONS", "Operation", "leftovers", "tree"]

FIT: dict[str, Any] = {"epochs": 2, "eval_every": None}
COMPARED: dict[str, Any] = {
    "modes": ["all", "backbone[:2]"],
    "seeds": 1,
    "epochs": 1,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "progress": False,
}
_CLOCKS = ("seconds", "memory", "found", "computed")
"""Parts of the names of columns that depend on the clock, or on what an earlier call has left."""


@cache
def templates() -> Path:
    """Return a folder with what operations begin with, made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="mtfreeze-drills-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_tiny_bert(folder / "backbone")
    for path in (folder, folder / "backbone" / "model.safetensors"):
        path.chmod(0o755)  # drills act as other users, too
    return folder


def fresh() -> mtf.MultiTaskModel:
    """Load the tiny BERT with its heads, its embeddings frozen."""
    model = mtf.MultiTaskModel.from_pretrained(templates() / "backbone")
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model.freeze("embeddings")


@cache
def models() -> dict[str, mtf.MultiTaskModel]:
    """Return two models of other weights; nobody changes them."""
    old, new = fresh(), fresh()
    new.set_parameter("classifier.bias", new.parameters()["classifier.bias"] + 1)
    return {"old": old, "new": new.freeze("backbone[:1]")}


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, and an entry for every folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"folder"
        for path in folder.rglob("*")
    }


def leftovers(folder: Path) -> list[str]:
    """Return what only a draft is called."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.name.startswith(".")
    )


@cache
def saved(which: str) -> Path:
    """Return a folder with one of the models."""
    models()[which].save_pretrained(templates() / f"saved-{which}")
    return templates() / f"saved-{which}"


class Operation:
    """See the head of the file.

    Attributes
    ----------
    durable : bool
        Whether what it writes must outlive a loss of power.
    never_fails : bool
        Whether no trouble with a disk may end it.
    """

    durable = True
    never_fails = False

    def prepare(self, folder: Path) -> None:
        """Put into the empty `folder` what is there before."""

    def act(self, folder: Path) -> Any:
        """Do it; the result goes to `finished`."""
        raise NotImplementedError

    def state(self, folder: Path) -> str:
        """Return "old", "new" or "none"; AssertionError if anything is half there."""
        raise NotImplementedError

    def claims(self, folder: Path, before: str, said: str) -> None:
        """Check what an error says of the folder; it was in the state `before`."""
        after = self.state(folder)
        if "the new folder is in its place" in said:
            assert after == "new", f"nothing is in its place, but: {said}"
        if "untouched" in said:
            assert after == before, f"the new one is there, but: {said}"

    def finished(self, folder: Path, result: Any) -> None:
        """Check what must hold after it was carried through."""
        assert self.state(folder) == "new", "it ended without an error and nothing changed"


class Save(Operation):
    """``save_pretrained`` into a new folder, or over an earlier model with the user's files."""

    def __init__(self, over: bool) -> None:
        self.over = over

    def prepare(self, folder: Path) -> None:
        if self.over:
            shutil.copytree(saved("old"), folder / "out")
            (folder / "out" / "README.md").write_text("mine")
            (folder / "out" / "logs").mkdir()
            (folder / "out" / "logs" / "one").write_text("1")

    def place(self, folder: Path) -> Path:
        return folder / "out" if self.over else folder / "made" / "on the way" / "out"

    def act(self, folder: Path) -> Any:
        return models()["new"].save_pretrained(self.place(folder))

    def state(self, folder: Path) -> str:
        place = self.place(folder)
        if not place.exists():
            assert not self.over, "the earlier model is gone"
            return "none"
        found = tree(place)
        if self.over:
            for name, data in (("README.md", b"mine"), ("logs", b"folder"), ("logs/one", b"1")):
                assert found.pop(name, None) == data, f"the user's {name} is gone"
        for which in ("old", "new"):
            expected = tree(saved(which))
            if self.over:
                expected.pop("README.md")  # the user's card is never replaced
            if found == expected:
                return which
        raise AssertionError(f"neither the earlier model nor the new one: {sorted(found)}")


class Load(Operation):
    """``from_pretrained``, which changes nothing."""

    durable = False

    def prepare(self, folder: Path) -> None:
        shutil.copytree(saved("new"), folder / "out")

    def act(self, folder: Path) -> Any:
        return mtf.MultiTaskModel.from_pretrained(folder / "out")

    def state(self, folder: Path) -> str:
        assert tree(folder / "out") == tree(saved("new")), "reading has changed the model"
        return "new"

    def finished(self, folder: Path, result: Any) -> None:
        assert bits(result.parameters()) == bits(models()["new"].parameters()), "other bits"


class StopAt(mtf.Callback):
    """Ends a run after a number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, context: Any) -> None:
        if context.step == self.step:
            raise RuntimeError("enough")


class Fit(Operation):
    """``fit`` that saves checkpoints, from the start or from one that is there."""

    def __init__(self, resumed: bool) -> None:
        self.resumed = resumed

    @cache  # noqa: B019
    def expected(self) -> tuple[dict[str, bytes], list[float]]:
        """Return the weights and losses of a run that nothing disturbs."""
        model = fresh()
        run = small_tasks.quick_fit(model, **FIT)
        return bits(model.parameters()), run.losses()

    @cache  # noqa: B019
    def begun(self) -> Path:
        """Return the folder of a run that ended after its third step."""
        folder = templates() / "begun"
        try:
            small_tasks.quick_fit(
                fresh(), output_dir=folder, save_every=1, callbacks=[StopAt(4)], **FIT
            )
        except RuntimeError as error:
            assert str(error) == "enough"
        return folder

    def prepare(self, folder: Path) -> None:
        if self.resumed:
            shutil.copytree(self.begun(), folder / "run")

    def act(self, folder: Path) -> Any:
        model = fresh()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.ResumeWarning)
            run = small_tasks.quick_fit(
                model, output_dir=folder / "run", save_every=2, resume=True, **FIT
            )
        return bits(model.parameters()), run.losses()

    def state(self, folder: Path) -> str:
        found = checkpoint.list_checkpoints(folder / "run")
        assert found or not self.resumed, "the checkpoint that was there is gone"
        for path in found:
            assert checkpoint.read_checkpoint(path).state["n_steps"] == int(path.name[5:])
        if (folder / "run" / "config.json").exists():
            model = mtf.MultiTaskModel.from_pretrained(folder / "run")
            assert bits(model.parameters()) == self.expected()[0], "another model was saved"
        return "new" if found else "none"

    def claims(self, folder: Path, before: str, said: str) -> None:
        self.state(folder)
        for name in re.findall(r"cannot write the checkpoint '.*(step-\d+)'", said):
            there = (folder / "run" / "checkpoints" / name).exists()
            assert there == ("the new folder is in its place" in said), said
            assert there != ("an earlier one is whole" in said), said

    def finished(self, folder: Path, result: Any) -> None:
        assert result == self.expected(), "other weights, or other losses"
        assert self.state(folder) == "new"
        assert (folder / "run" / "training_history.jsonl").exists()
        assert (folder / "run" / "config.json").exists()


class Compare(Operation):
    """``compare(output_dir=)``; what is there is taken up by the next call."""

    @staticmethod
    def rows(comparison: mtf.Comparison) -> list[dict[str, Any]]:
        """Return what does not depend on the clock, nor on who computed a feature first."""
        return [
            {name: value for name, value in row.items() if not any(c in name for c in _CLOCKS)}
            for row in comparison.to_rows()
        ]

    @cache  # noqa: B019
    def comparison(self) -> mtf.Comparison:
        """Return a comparison that nothing disturbs."""
        return mtf.compare(fresh(), small_tasks.two_tasks(), **COMPARED)

    def act(self, folder: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.CacheWarning)
            return mtf.compare(
                fresh(), small_tasks.two_tasks(), output_dir=folder / "compared", **COMPARED
            )

    def state(self, folder: Path) -> str:
        results = sorted((folder / "compared" / "results").glob("*.json"))
        for path in results:
            mtf.comparing.results.ScenarioRun.from_dict(
                mtf.files.json_files.read_object(path)["run"]
            )
        return "new" if results else "none"

    def claims(self, folder: Path, before: str, said: str) -> None:
        self.state(folder)
        if "cannot save the model" in said:  # its folder, not that of the comparison
            there = (folder / "compared" / "model").exists()
            assert there == ("the new folder is in its place" in said), said

    def finished(self, folder: Path, result: Any) -> None:
        for said in (row["error"] for row in result.to_rows() if row["error"]):
            kind = re.search(r"(\w+): ", said.removeprefix("failed: ").removeprefix("its start: "))
            assert kind, said
            typed = getattr(mtf, kind[1], None) or getattr(builtins, kind[1])
            assert issubclass(typed, mtf.Error | OSError), f"untyped: {said}"
            raise OSError(said)  # the next call runs it again
        for one, other in zip(Compare.rows(result), Compare.rows(self.comparison()), strict=True):
            odd = {key: (one[key], other[key]) for key in one if str(one[key]) != str(other[key])}
            assert not odd, f"another row: {odd}"
        assert not (folder / "compared" / "features").exists(), "the features stayed"


class Cached(Operation):
    """``fit(cache=folder)`` and reading the features again: no trouble with a disk ends a run."""

    never_fails = True

    @cache  # noqa: B019
    def expected(self) -> dict[str, bytes]:
        """Return the weights of a run without a cache."""
        model = fresh().freeze("backbone")
        small_tasks.quick_fit(model, epochs=1)
        return bits(model.parameters())

    def act(self, folder: Path) -> Any:
        model = fresh().freeze("backbone")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.CacheWarning)
            small_tasks.quick_fit(model, epochs=1, cache=folder / "features")
        return bits(model.parameters())

    def state(self, folder: Path) -> str:
        place = folder / "features"
        for one in folder_info(place) if place.is_dir() else []:
            assert not one.fault, f"{one.path.name}: {one.fault}"
        return "new"

    def finished(self, folder: Path, result: Any) -> None:
        assert result == self.expected(), "other weights than without a cache"
        self.state(folder)


class Output(Operation):
    """A file that the user asks for, in the place of an earlier one or in a new folder."""

    def __init__(
        self, name: str, write: Callable[[Path], object], *, makes_folders: bool = True
    ) -> None:
        self.name, self.write, self.makes_folders = name, write, makes_folders

    @cache  # noqa: B019
    def expected(self) -> bytes:
        """Return the file that nothing disturbs."""
        self.write(templates() / self.name)
        return (templates() / self.name).read_bytes()

    def prepare(self, folder: Path) -> None:
        (folder / self.name).write_bytes(b"old")
        if not self.makes_folders:
            (folder / "new" / "folder").mkdir(parents=True)

    def act(self, folder: Path) -> Any:
        self.write(folder / "new" / "folder" / self.name)
        self.write(folder / self.name)

    def state(self, folder: Path) -> str:
        other = folder / "new" / "folder" / self.name
        assert not other.exists() or other.read_bytes() == self.expected(), "half a file"
        found = (folder / self.name).read_bytes()
        assert found in (b"old", self.expected()), "neither the earlier file nor the new one"
        return "old" if found == b"old" else "new"


def _write_vectors(path: Path) -> None:
    from mtfreeze.cli.encode import encode

    words = [str(saved("new")), *SENTENCES[:3], "--output", str(path), "--force"]
    with redirect_stdout(io.StringIO()):
        encode.main(words, standalone_mode=False)


_compare = Compare()

OPERATIONS: Mapping[str, Operation] = {
    "save_new": Save(over=False),
    "save_over": Save(over=True),
    "load": Load(),
    "fit": Fit(resumed=False),
    "resume": Fit(resumed=True),
    "compare": _compare,
    "cache": Cached(),
    "csv": Output("table.csv", lambda path: _compare.comparison().to_csv(path)),
    "html": Output("report.html", lambda path: _compare.comparison().to_html(path)),
    "picture": Output("picture.svg", lambda path: _compare.comparison().plot(path)),
    "vectors": Output("vectors.npy", _write_vectors, makes_folders=False),
}
