# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings do what they say, each docstring on its own, in a folder with data.

Those of the public interface begin with ``mtf``, ``model`` and ``tasks`` as the first page of the
API reference (docs/api/index.md) makes them; every docstring gets a model of its own.
"""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from support.doc_pages import API_INDEX, blocks, run_python, workplace
from support.places import ROOT

__all__ = ["workplace"]

HOW = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
GIVEN = ("mtf", "model", "tasks")
"""Names that an example may use without making them."""


def all_examples() -> list[doctest.DocTest]:
    """Return the docstrings of the package that hold examples."""
    finder, found = doctest.DocTestFinder(exclude_empty=True), []
    left_out = [] if importlib.util.find_spec("spacy") else ["mtfreeze.spacy"]
    for module in pkgutil.walk_packages(mtf.__path__, "mtfreeze."):
        if not module.name.endswith(("__main__", *left_out)):
            found += finder.find(importlib.import_module(module.name))
    return [test for test in found if test.examples]


def needs_a_model(test: doctest.DocTest) -> bool:
    """Whether the examples use what the API pages make."""
    code = compile(doctest.script_from_examples(test.docstring or ""), test.name, "exec")
    return bool({"model", "tasks", "from_pretrained"} & set(code.co_names))


EXAMPLES = all_examples()
PLAIN = [test for test in EXAMPLES if not needs_a_model(test)]
WITH_MODEL = [test for test in EXAMPLES if needs_a_model(test)]


def run(test: doctest.DocTest, names: dict[str, Any]) -> None:
    """Run the examples of a docstring with further names; fail with what differed."""
    said: list[str] = []
    test.globs = {**test.globs, **names}
    result = doctest.DocTestRunner(optionflags=HOW).run(test, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("test", PLAIN, ids=lambda test: test.name)
def test_an_example(test: doctest.DocTest, workplace: Path) -> None:
    run(test, {"mtf": mtf})


@pytest.fixture(scope="module")
def given(minilm_folder: Path) -> Callable[[], dict[str, Any]]:
    """Return what the first API page makes, with a copy of the model for each call."""
    namespace: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for block in blocks(API_INDEX):
            if block.language == "python":
                run_python(block, API_INDEX, namespace)
    return lambda: {n: v.copy() if n == "model" else v for n, v in namespace.items() if n in GIVEN}


# Examples of these rooms compare, probe or time: seconds each.
LONG = ("mtfreeze.comparing.", "mtfreeze.recommending.", "mtfreeze.estimating.")


@pytest.mark.real
@pytest.mark.parametrize(
    "test",
    [
        pytest.param(
            test, id=test.name, marks=[pytest.mark.long] if test.name.startswith(LONG) else []
        )
        for test in WITH_MODEL
    ],
)
def test_an_example_with_a_model(
    test: doctest.DocTest, given: Callable[[], dict[str, Any]], workplace: Path
) -> None:
    run(test, given())


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yield every public function and class that is no exception."""
    for name in mtf.__all__:
        value = getattr(mtf, name)
        if callable(value) and not (isinstance(value, type) and issubclass(value, BaseException)):
            yield name, value


ELSEWHERE = (
    *("MLflowLogger", "TensorBoardLogger", "TrackioLogger", "WandbLogger"),
    "read_parquet",
)
"""What needs packages that the tests do without: its examples stand in pages, or do not run."""


def test_every_public_function_and_class_has_an_example() -> None:
    lacking = []
    for name, value in public_objects():
        if name in ELSEWHERE:
            continue
        texts = [inspect.getdoc(value) or ""]
        if isinstance(value, type):
            texts += [inspect.getdoc(one) or "" for one in vars(value).values() if callable(one)]
        if not any(">>>" in text for text in texts):
            lacking.append(name)
    assert not lacking


def test_every_public_method_is_described() -> None:
    for name, value in public_objects():
        members = inspect.getmembers(value, inspect.isfunction) if isinstance(value, type) else []
        for part, method in members:
            assert part.startswith("_") or inspect.getdoc(method), f"{name}.{part}"


def test_no_example_is_skipped() -> None:
    options = [one for test in EXAMPLES for one in test.examples if one.options]
    assert not any(doctest.SKIP in example.options for example in options)
