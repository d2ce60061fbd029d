# SPDX-License-Identifier: Apache-2.0
"""`push_to_hub` against a stand-in of the hub on this machine: what is there afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

import mtfreeze as mtf
from mtfreeze.sharing.card import CARD, written_here
from support.stand_in_hub import TOKEN, StandInHub, emptied, stand_in_hub

REPO = "someone/two-tasks"


@pytest.fixture(scope="module")
def server() -> Iterator[StandInHub]:
    with stand_in_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: StandInHub, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    return emptied(server, monkeypatch)


def push(model: mtf.MultiTaskModel, hub: StandInHub, **settings: Any) -> str:
    settings = {"token": TOKEN, "endpoint": hub.endpoint, **settings}
    return model.push_to_hub(REPO, **settings)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_pushed_is_what_is_saved(
    two_head_model: mtf.MultiTaskModel, hub: StandInHub, tmp_path: Path
) -> None:
    address = push(two_head_model, hub, private=True)
    assert address.startswith(f"{hub.endpoint}/{REPO}/commit/") and len(hub.commits) == 1
    assert hub.private == {REPO: True}
    pushed, saved = dict(hub.models[REPO]), files(two_head_model.save_pretrained(tmp_path / "out"))
    card = pushed.pop(CARD).decode()
    assert (
        card.replace(f'"{REPO}"', '"."').splitlines()[:-1]
        == (saved.pop(CARD).decode().splitlines()[:-1])
    )
    assert f'from_pretrained("{REPO}")' in card and pushed == saved
    for name, data in pushed.items():
        place = tmp_path / "down" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    down = mtf.MultiTaskModel.from_pretrained(tmp_path / "down")
    assert list(down.heads) == ["classifier", "ner_head"]


def test_what_an_earlier_model_had_goes(
    two_head_model: mtf.MultiTaskModel, hub: StandInHub
) -> None:
    push(two_head_model, hub)
    hub.models[REPO] |= {"pytorch_model.bin": b"old", "notes.md": b"mine"}
    push(two_head_model.remove_head("classifier"), hub)
    names = set(hub.models[REPO])
    assert {"heads/ner_head.safetensors", "notes.md", "model.safetensors"} <= names
    assert not names & {"heads/classifier.safetensors", "pytorch_model.bin"}
    assert b"classifier" not in hub.models[REPO][CARD]  # ours is written anew
    push(two_head_model, hub, head="ner_head")
    assert "mtfreeze.json" in hub.models[REPO]
    assert b"BertForTokenClassification" in hub.models[REPO]["config.json"]


def test_a_card_that_was_changed_there_stays(
    two_head_model: mtf.MultiTaskModel, hub: StandInHub
) -> None:
    push(two_head_model, hub)
    assert written_here(hub.models[REPO][CARD])
    hub.models[REPO][CARD] = b"# What this is for\n"
    push(two_head_model, hub)
    assert hub.models[REPO][CARD] == b"# What this is for\n"


def test_a_hub_that_refuses(tiny_model: mtf.MultiTaskModel, hub: StandInHub) -> None:
    with pytest.raises(mtf.ConfigError, match=r"hub takes 'someone/two-tasks'.*token=") as failed:
        push(tiny_model, hub, token="hf_other")
    assert "hf_other" not in str(failed.value) and not hub.models


@pytest.mark.parametrize("token", ["hf_secret\n", "hf_sécret", "hf secret", "", b"hf_secret"])
def test_a_token_that_is_none_is_not_repeated(tiny_model: mtf.MultiTaskModel, token: Any) -> None:
    with pytest.raises((TypeError, mtf.ConfigError), match="token must be a token of") as refused:
        tiny_model.push_to_hub(REPO, token=token)
    assert "cret" not in str(refused.value)


def test_a_hub_that_fails(
    tiny_model: mtf.MultiTaskModel, hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> tuple[int, Any]:
        return 501, {"error": "not today"}

    monkeypatch.setattr(hub, "answer", fail)
    with pytest.raises(ConnectionError, match=r"someone/two-tasks.*try again, or save with"):
        push(tiny_model, hub)


def test_a_hub_that_is_switched_off(
    tiny_model: mtf.MultiTaskModel, hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(mtf.ConfigError, match=r"switched off \(HF_HUB_OFFLINE\); unset that"):
        push(tiny_model, hub)
    assert not hub.models


def test_nothing_is_pushed_that_cannot_be_saved(
    two_head_model: mtf.MultiTaskModel, hub: StandInHub
) -> None:
    with pytest.raises(mtf.ConfigError, match="is not what BertForSequenceClassification computes"):
        push(two_head_model, hub, head="classifier")
    with pytest.raises(mtf.ConfigError, match="unknown head 'nobody'"):
        push(two_head_model, hub, head="nobody")
    assert not hub.models


@pytest.mark.parametrize(
    "name", ["", "two-tasks", "a/b/c", "../x", "a/b--c", "a b/c", "-a/b", "ä/b"]
)
def test_names_that_the_hub_has_not(tiny_model: mtf.MultiTaskModel, name: str) -> None:
    with pytest.raises(mtf.ConfigError, match="repo must be the name of a model on the hub"):
        tiny_model.push_to_hub(name)


def test_arguments_of_other_types(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match="repo must be the name"):
        tiny_model.push_to_hub(3)  # type: ignore[arg-type]
    for setting in ("token", "endpoint", "private"):
        with pytest.raises(TypeError, match=setting):
            tiny_model.push_to_hub(REPO, **{setting: 3.5})
