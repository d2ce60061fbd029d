# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin in suites of its own: what is kept, computed again, shown, and paid for."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtfreeze.pytest_plugin import running
from mtfreeze.pytest_plugin.kept import forget_earlier, hold
from support import made_up_comparisons
from support.doc_pages import blocks
from support.places import DOCS, EXAMPLES, ROOT, TESTS

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
import mtfreeze as mtf
from support.small_tasks import ROWS

@pytest.fixture(scope="session")
def freeze_model():
    model = mtf.MultiTaskModel.from_pretrained({folder!r})
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    return model

@pytest.fixture
def freeze_tasks():
    return {{"classifier": mtf.Task(train=ROWS[:{rows}], eval=ROWS)}}

@pytest.fixture
def freeze_settings():
    return {{"epochs": 1, "start": "cold", "batch_size": 4}}
"""

ONE = "import pytest\nfreeze_model = pytest.fixture(lambda: 3, name='freeze_model')\n"
BOTH = f"{ONE}freeze_tasks = pytest.fixture(lambda: 3, name='freeze_tasks')\n"
"""Fixtures of a suite that give nothing of use."""

SUITE = """
import pytest

@pytest.mark.freeze_modes({modes}, seeds={seeds})
class TestModes:
    def test_still(self, freeze_comparison):
        freeze_comparison.assert_frozen_still()

    def test_cost(self, freeze_comparison):
        freeze_comparison.assert_cost(seconds=600, memory="4 GB")
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what reports need: what a run inside of this one imports is forgotten after it."""
    page = tmp_path_factory.mktemp("loaded") / "report.html"
    made_up_comparisons.comparison(40, seeds=(0,)).to_html(page)


@pytest.fixture
def suite(
    pytester: pytest.Pytester, tiny_folder: Path, loaded: None, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """A suite of two tests of one comparison, on the tiny BERT."""
    monkeypatch.setenv("MTFREEZE_THREADS", "1")
    pytester.makeconftest(CONFTEST.format(folder=str(tiny_folder), rows=8))
    pytester.makepyfile(test_modes=SUITE.format(modes='"backbone"', seeds=1))
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> str:
    """Run the suite, whose tests all pass; return what it printed."""
    done = suite.runpytest_inprocess("-p", "mtfreeze_pytest", *arguments)
    done.assert_outcomes(passed=2)
    return done.stdout.str()


def folders(suite: pytest.Pytester) -> list[Path]:
    """Return the folders of results in the suite's cache."""
    place = suite.path / ".pytest_cache" / "d" / "mtfreeze"
    return [path for path in place.iterdir() if path.is_dir()]


def test_results_are_kept_and_computed_again_where_something_changed(
    suite: pytest.Pytester, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(suite)
    (first,) = folders(suite)
    said = run(suite, "--junitxml=junit.xml")
    assert "0 runs computed, 3 kept from earlier" in said
    # One table for both tests, with the place of the report.
    assert said.count("prefixes\n") == said.count("report: ") == 1
    assert "test_modes.py::TestModes::test_still, test_modes.py::TestModes::test_cost" in said
    page = Path(said.split("report: ")[1].split("\n")[0])
    assert page.parent == first and "<html" in page.read_text(encoding="utf-8")
    properties = {
        one.get("name"): one.get("value")
        for one in ElementTree.parse(suite.path / "junit.xml").iter("property")
    }
    assert 0 <= float(properties["mtfreeze.backbone.classifier.accuracy"] or "") <= 1
    assert float(properties["mtfreeze.backbone.seconds"] or "") > 0
    assert properties["mtfreeze.report"] == str(page)
    # A mode and a seed more: those alone are run. (Without the pictures, which take a while.)
    monkeypatch.setattr(running, "report_of", lambda comparison, path, anew: path)
    suite.makepyfile(test_modes=SUITE.format(modes='"backbone", "none"', seeds=2))
    run(suite)
    (again,) = folders(suite)
    results = again / "comparison" / "results"
    assert again == first and len(list(results.glob("*.json"))) == 7
    # Other data, then other code: another folder each, and the one before is gone.
    suite.makepyfile(test_modes=SUITE.format(modes='"backbone"', seeds=1))
    suite.makeconftest(CONFTEST.format(folder=str(tiny_folder), rows=6))
    run(suite)
    (other,) = folders(suite)
    assert other != first
    monkeypatch.setattr("mtfreeze.pytest_plugin.kept._code", lambda: "other code")
    run(suite)
    assert folders(suite) not in ([first], [other]) and len(folders(suite)) == 1


@pytest.mark.long
def test_without_pytests_cache(suite: pytest.Pytester) -> None:
    said = run(suite, "-p", "no:cacheprovider")
    assert "3 runs computed, 0 kept from earlier" in said
    assert not (suite.path / ".pytest_cache").exists()


@pytest.mark.parametrize(
    ("conftest", "test", "message"),
    [
        ("", '@pytest.mark.freeze_modes("none")', "needs a fixture freeze_model that returns"),
        (ONE, '@pytest.mark.freeze_modes("none")', "needs a fixture freeze_tasks that returns"),
        (BOTH, '@pytest.mark.freeze_modes("none")', "MultiTaskModel; found int 3"),
        (None, "", "needs the marker of what is frozen; found none; write @pytest.mark"),
        (None, '@pytest.mark.freeze_modes(modes=["none"])', "found modes=; leave it out"),
        (None, '@pytest.mark.freeze_modes("none", seed=1)', "compare does not take seed=: name"),
        (None, '@pytest.mark.freeze_modes("none", epoch=1)', "did you mean 'epochs'"),
        (None, '@pytest.mark.freeze_modes("backbon")', "did you mean 'backbone'"),
    ],
)
def test_what_a_test_lacks_is_said(
    suite: pytest.Pytester, conftest: str | None, test: str, message: str
) -> None:
    if conftest is not None:
        suite.makeconftest(conftest)
    body = f"import pytest\n{test}\ndef test_it(freeze_comparison): pass\n"
    suite.makepyfile(test_modes=body)
    done = suite.runpytest_inprocess("-p", "mtfreeze_pytest")
    done.assert_outcomes(errors=1)
    assert message in done.stdout.str()


def test_settings_are_arguments_by_name(suite: pytest.Pytester) -> None:
    settings = "import pytest\n@pytest.fixture\ndef freeze_settings(): return 3\n"
    suite.makepyfile(test_modes=settings + SUITE.format(modes='"none"', seeds=1))
    done = suite.runpytest_inprocess("-p", "mtfreeze_pytest")
    done.assert_outcomes(errors=2)
    assert "must give arguments of compare by name; found int 3" in done.stdout.str()


def test_ctrl_c_ends_the_run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    real = running.compare

    def interrupted(*given: object, **named: object) -> object:
        found = real(*given, **named)  # type: ignore[arg-type]
        found.interrupted = True
        return found

    interrupted.__signature__ = running.inspect.signature(real)  # type: ignore[attr-defined]
    monkeypatch.setattr(running, "compare", interrupted)
    done = suite.runpytest_inprocess("-p", "mtfreeze_pytest", no_reraise_ctrlc=True)
    assert done.ret == pytest.ExitCode.INTERRUPTED


def test_a_process_waits_for_another(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with hold(tmp_path / "key"):
            order.append("second")

    with hold(tmp_path / "key"):
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_results_that_a_process_holds_stay(tmp_path: Path) -> None:
    """What an earlier key of a test left goes, unless another process computes there."""
    keys = [tmp_path / name for name in ("first", "second", "third")]
    for key in keys[:2]:
        with hold(key):
            forget_earlier(key, "test_it")
            assert [one.is_dir() for one in keys[:2]] == [one == key for one in keys[:2]]
    with hold(keys[1]), hold(keys[2]):
        forget_earlier(keys[2], "test_it")
    assert keys[1].is_dir()
    with hold(keys[2]):
        forget_earlier(keys[2], "test_it")
    assert [one.is_dir() for one in keys] == [False, False, True]


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with hold(tmp_path / "key"):
        assert (tmp_path / "key").is_dir()


def test_without_pytests_cache_results_last_as_long_as_the_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = SimpleNamespace()  # `-p no:cacheprovider`
    asked = SimpleNamespace(config=config, getfixturevalue=request.getfixturevalue)
    place = running._cache(asked)  # type: ignore[arg-type]
    assert place == tmp_path_factory.getbasetemp() / "mtfreeze" and place.is_dir()


COST = """
import sys, time
import pytest
before, least = set(sys.modules), []
for _ in range(5):
    sys.modules.pop("mtfreeze_pytest", None)
    began = time.thread_time()
    import mtfreeze_pytest
    least.append(time.thread_time() - began)
print(min(least), *sorted(set(sys.modules) - before - {"mtfreeze_pytest"}))
"""

OTHER_SUITE = """
import sys

def test_of_others():
    assert "mtfreeze_pytest" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("mtfreeze", "numpy")]
"""


def test_other_suites_pay_next_to_nothing(pytester: pytest.Pytester) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COST], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds, *others = done.stdout.split()
    assert others == [] and float(seconds) < 0.005
    pytester.makepyfile(OTHER_SUITE)
    found = pytester.runpytest_subprocess("-p", "mtfreeze_pytest", "--strict-markers")
    found.assert_outcomes(passed=1)
    assert "freeze comparisons" not in found.stdout.str()


@pytest.mark.long
def test_workers_of_xdist_share_one_comparison(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    done = suite.runpytest_subprocess("-p", "mtfreeze_pytest", "-n", "2", "--dist", "load")
    done.assert_outcomes(passed=2)
    said = done.stdout.str()
    assert said.count("report: ") == 1 and len(folders(suite)) == 1
    # Whichever of the two waited found all that the other had computed.
    assert "TestModes::test_still" in said and "TestModes::test_cost" in said


@pytest.mark.real
@pytest.mark.long
def test_the_suite_of_the_page_passes(
    pytester: pytest.Pytester, loaded: None, minilm_folder: Path
) -> None:
    (block,) = [one for one in blocks(DOCS / "testing.md") if one.title == "test_freeze.py"]
    data = pytester.mkdir("examples") / "data"
    shutil.copytree(EXAMPLES, data)
    pytester.makepyfile(test_freeze=block.text)
    done = pytester.runpytest_inprocess("-p", "mtfreeze_pytest")
    done.assert_outcomes(passed=3)
    assert "freeze comparisons" in done.stdout.str()
