# SPDX-License-Identifier: Apache-2.0
"""The feature cache of a run: the same bits as without, each text once, within its limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError, Error, SelectorError
from mtfreeze.features import gather as gather_module
from mtfreeze.features import open_cache
from mtfreeze.features.memory import STORE, TEXT_BYTES
from support.core_spy import CoreSpy
from support.stored_features import NAMES, check_bits, computed, encode, fill, many_texts
from support.texts import SENTENCES, TAGGED

pytestmark = pytest.mark.usefixtures("fresh_store")


class ForwardSpy(CoreSpy):
    """Counts texts by what they were computed from and which outputs they gave."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.calls: list[tuple[int, str, tuple[str, ...]]] = []

    def forward(self, batch: Any, outputs: Any) -> Any:
        start = "ids" if "ids" in batch["inputs"] else next(iter(batch["features"]))
        self.calls.append((len(batch["offsets"]["tokens"]) - 1, start, tuple(outputs)))
        return self.core.forward(batch, outputs)

    def texts(self) -> dict[tuple[str, tuple[str, ...]], int]:
        """Return the number of texts by (start, outputs)."""
        found: dict[tuple[str, tuple[str, ...]], int] = {}
        for n, start, names in self.calls:
            found[start, names] = found.get((start, names), 0) + n
        return found


@pytest.fixture
def spy(tiny_model: mtf.MultiTaskModel) -> ForwardSpy:
    """Return the spy that stands before the core of ``tiny_model``."""
    spy = ForwardSpy(tiny_model._core)
    tiny_model._core = spy  # type: ignore[assignment]
    return spy


@pytest.mark.parametrize("setting", ["auto", "memory", "folder"])
@pytest.mark.parametrize("memory_limit", [None, 0])
def test_the_same_bits_as_without(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, setting: str, memory_limit: int | None
) -> None:
    where = tmp_path / "new" / "cache" if setting == "folder" else setting
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, where, encoded, memory_limit=memory_limit)
    with cache:
        stats = cache.stats
        if setting == "memory" and memory_limit == 0:
            assert report.n_not_kept == 10 and report.n_texts == 0 and report.n_bytes == 0
            assert cache.view(encoded, "pooled") is None
            return
        check_bits(cache, tiny_model, encoded)
        n_tokens = len(encoded.inputs["ids"])
        n_bytes = 48 * 4 * (n_tokens + 10)
        place = {"auto": "file", "folder": "folder"}[setting] if memory_limit == 0 else "memory"
        assert getattr(stats, f"{place}_bytes") == n_bytes == report.n_bytes
        assert (report.n_texts, report.n_tokens, report.n_reused) == (10, n_tokens, 0)
        assert not report.stopped and report.seconds > 0


def test_each_text_runs_once(tiny_model: mtf.MultiTaskModel, spy: ForwardSpy) -> None:
    twice = encode(tiny_model, [*SENTENCES, *SENTENCES[:4]])
    cache, report = fill(tiny_model, "auto", twice)
    assert report.n_texts == 10 and spy.texts() == {("ids", NAMES): 10}
    check_bits(cache, tiny_model, twice)
    spy.calls.clear()
    again = cache.fill(tiny_model, [(encode(tiny_model), None, NAMES)])
    assert (again.n_texts, again.n_reused, again.n_bytes) == (0, 10, 0)
    cache.close()
    other, report = fill(tiny_model.copy(), "memory", encode(tiny_model, SENTENCES[2:]))
    assert report.n_reused == 8 and not spy.calls
    other.close()


def test_what_misses_different_outputs_is_computed_apart(
    tiny_model: mtf.MultiTaskModel, spy: ForwardSpy
) -> None:
    encoded = encode(tiny_model)
    with open_cache("auto") as cache:  # type: ignore[union-attr]
        cache.fill(
            tiny_model,
            [(encoded, [0, 1, 2], ["pooled"]), (encoded, [2, 3], ["hidden_states.2", "pooled"])],
        )
        assert spy.texts() == {("ids", ("pooled",)): 2, ("ids", ("pooled", "hidden_states.2")): 2}
        view = cache.view(encoded, "hidden_states.2")
        assert view is not None and not view.has() and view.has([3, 2]) and view.n_missing == 8
        assert view.missing([1, 2, 5, 1]).tolist() == [1, 5, 1]


@pytest.mark.parametrize("frozen", ["backbone[:2]", "none"])
def test_a_text_goes_on_from_the_highest_boundary_that_is_stored(
    tiny_model: mtf.MultiTaskModel, spy: ForwardSpy, frozen: str
) -> None:
    tiny_model.freeze(frozen) if frozen != "none" else tiny_model.unfreeze()
    encoded = encode(tiny_model)
    with open_cache("auto") as cache:  # type: ignore[union-attr]
        cache.fill(tiny_model, [(encoded, None, ["hidden_states.1"])])
        cache.fill(tiny_model, [(encoded, range(4), ["hidden_states.2"])])
        spy.calls.clear()
        cache.fill(tiny_model, [(encoded, None, ["pooled"])])
        assert spy.texts() == {
            ("hidden_states.2", ("pooled",)): 4,
            ("hidden_states.1", ("pooled",)): 6,
        }
        view = cache.view(encoded, "pooled")
        assert view is not None
        wanted = computed(tiny_model, encoded, "pooled")
        assert view.gather(range(10)).tobytes() == wanted.tobytes()


def test_all_boundaries_of_a_schedule_in_one_pass(
    tiny_model: mtf.MultiTaskModel, spy: ForwardSpy
) -> None:
    encoded = encode(tiny_model)
    names = ("hidden_states.0", "hidden_states.1", "hidden_states.2", "hidden")
    with open_cache("auto") as cache:  # type: ignore[union-attr]
        cache.fill(tiny_model, [(encoded, None, names)])
        assert spy.texts() == {("ids", names): 10}
        for name in names:
            view = cache.view(encoded, name)
            assert view is not None
            wanted = computed(tiny_model, encoded, name)
            assert view.gather(range(10)).tobytes() == wanted.tobytes()


def test_rows_of_words_are_texts_too(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = tiny_model.encoder.encode_words([words for words, _ in TAGGED])
    cache, _ = fill(tiny_model, "auto", encoded)
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_bf16_is_near_and_never_meets_float32(
    tiny_model: mtf.MultiTaskModel, spy: ForwardSpy, tmp_path: Path
) -> None:
    encoded = encode(tiny_model)
    first, _ = fill(tiny_model, tmp_path, encoded)
    second, report = fill(tiny_model, tmp_path, encoded, dtype="bf16")
    assert report.n_texts == 10 and spy.texts() == {("ids", NAMES): 20}
    assert second.stats.memory_bytes * 2 == first.stats.memory_bytes
    for name in NAMES:
        wanted = computed(tiny_model, encoded, name)
        view = second.view(encoded, name)
        assert view is not None
        found = view.gather(range(10))
        assert found.tobytes() != wanted.tobytes()
        assert (np.abs(found - wanted) <= 2.0**-8 * np.abs(wanted)).all()
    n_bytes = second.stats.memory_bytes
    first.close()
    second.close()
    STORE.clear()
    third, report = fill(tiny_model, tmp_path, encoded, dtype="bf16", memory_limit=0)
    assert report.n_reused == 10 and third.stats.folder_bytes == n_bytes
    view = third.view(encoded, NAMES[0])
    assert view is not None and view.gather([3]).dtype == np.float32
    third.close()


def test_a_changed_weight_never_meets_an_old_feature(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    cache, _ = fill(tiny_model, "auto", encoded)
    key = "backbone.encoder.layer.2.output.dense.bias"
    tiny_model.set_parameter(key, tiny_model.parameters()[key] + 1)
    assert cache.view(encoded, "pooled") is None
    assert cache.view(encoded, "hidden_states.2") is not None
    report = cache.fill(tiny_model, [(encoded, None, NAMES)])
    assert (report.n_texts, report.n_reused) == (10, 0)
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_memory_keeps_what_fits_and_names_the_rest(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    limit = int((encoded.lengths[:4] * 48 * 4 + TEXT_BYTES).sum())
    with open_cache("memory", memory_limit=limit) as cache:  # type: ignore[union-attr]
        report = cache.fill(tiny_model, [(encoded, None, ["hidden", "pooled"])])
        assert (report.n_texts, report.n_not_kept) == (4, 10)
        view = cache.view(encoded, "hidden")
        assert view is not None and view.has(range(4)) and not view.has()
        assert view.missing(range(10)).tolist() == [4, 5, 6, 7, 8, 9]
        assert cache.view(encoded, "pooled") is None
        with pytest.raises(DataError, match=r"'hidden' features of every row; found none for 2"):
            view.gather([1, 8, 2, 9])

        def compute(rows: Any) -> Any:
            batch = encoded.pack(rows)
            return tiny_model._core.forward(batch.for_core(), ["hidden"])[0]

        rows = [1, 8, 2, 9, 8]
        wanted = computed(tiny_model, encoded, "hidden")[encoded.tokens_of(rows)[0]]
        assert view.gather(rows, compute=compute).tobytes() == wanted.tobytes()


def test_rows_of_several_passes_are_gathered_together(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    with open_cache("auto") as cache:  # type: ignore[union-attr]
        for rows in ([0, 3], [1, 3, 5, 7], range(10)):
            cache.fill(tiny_model, [(encoded, rows, NAMES)])
        check_bits(cache, tiny_model, encoded)


def test_gather_into_an_array_of_the_callers(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    cache, _ = fill(tiny_model, "auto", encoded)
    view = cache.view(encoded, "hidden_states.2")
    assert view is not None
    out = np.full((200, 48), np.nan, np.float32)
    found = view.gather([4, 2], out=out)
    assert found.base is out and len(found) == encoded.lengths[[4, 2]].sum()
    assert not np.isnan(found).any() and np.isnan(out[len(found) :]).all()
    assert view.gather([]).shape == (0, 48)
    for wrong in (np.empty((200, 48)), np.empty((3, 48), np.float32), out.T, out[:, :40]):
        with pytest.raises(DataError, match=r"make it with np\.empty"):
            view.gather([4, 2], out=wrong)
    cache.close()


def test_a_stop_in_the_middle_stores_nothing(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    encoded = encode(tiny_model, many_texts(1500))
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    for limit in (None, 0):
        asked.clear()
        with open_cache(tmp_path, memory_limit=limit) as cache:  # type: ignore[union-attr]
            report = cache.fill(tiny_model, [(encoded, None, NAMES)], stop=stop)
            assert report.stopped and (report.n_texts, report.n_bytes) == (0, 0)
            assert report.n_not_kept == 1500 and len(asked) == 4
            assert cache.view(encoded, "pooled") is None
        assert STORE.used("memory") == STORE.used("file") == STORE.used("folder") == 0
        assert STORE.room(1000) == 1000
        assert list(tmp_path.iterdir()) == []
    cache, _ = fill(tiny_model, tmp_path, encoded)
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_an_interrupt_in_the_core_leaves_nothing_behind(
    tiny_model: mtf.MultiTaskModel, spy: ForwardSpy, tmp_path: Path
) -> None:
    def broken(batch: Any, outputs: Any) -> Any:
        raise KeyboardInterrupt

    encoded = encode(tiny_model)
    for limit in (None, 0):
        with open_cache(tmp_path, memory_limit=limit) as cache:  # type: ignore[union-attr]
            spy.forward = broken  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                cache.fill(tiny_model, [(encoded, None, NAMES)])
            assert cache.stats.memory_bytes == 0 and STORE.room(500) == 500
            assert list(tmp_path.iterdir()) == []


def test_nothing_wanted_is_nothing_done(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    empty = encode(tiny_model, [])
    with open_cache(tmp_path / "x") as cache:  # type: ignore[union-attr]
        for wanted in ([], [(empty, None, NAMES)], [(encode(tiny_model), [], NAMES)]):
            assert cache.fill(tiny_model, wanted).n_texts == 0
        view = cache.view(empty, "pooled")
        assert view is not None and view.has() and view.gather([]).shape == (0, 48)
    assert not (tmp_path / "x").exists()


def test_a_closed_cache_is_closed(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    cache, _ = fill(tiny_model, "auto", encoded)
    cache.close()
    assert cache.view(encoded, "pooled") is None and cache.stats.memory_bytes == 0
    with pytest.raises(Error, match="open another"):
        cache.fill(tiny_model, [(encoded, None, NAMES)])


def test_an_unknown_output(tiny_model: mtf.MultiTaskModel) -> None:
    with (
        open_cache("auto") as cache,  # type: ignore[union-attr]
        pytest.raises(SelectorError, match=r"hidden_states\.1"),
    ):
        cache.fill(tiny_model, [(encode(tiny_model), None, ["hidden_states1"])])


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_cache(False) is None
    monkeypatch.setenv("MTFREEZE_CACHE_MEMORY", "3MB")
    monkeypatch.setenv("MTFREEZE_CACHE_LIMIT", "much")
    assert open_cache(False) is None
    with pytest.raises(ConfigError, match="MTFREEZE_CACHE_LIMIT: expected a number of bytes"):
        open_cache("auto")
    with pytest.raises(ConfigError, match="disk_limit: expected a number of bytes"):
        open_cache(False, disk_limit="more")
    monkeypatch.setenv("MTFREEZE_CACHE_LIMIT", "4MB")
    cache = open_cache(tmp_path / "a")
    assert cache is not None and cache.folder is not None
    assert (cache.memory_limit, cache.disk_limit) == (3 * 10**6, 4 * 10**6)
    assert cache.folder.limit == 4 * 10**6
    cache = open_cache("memory", memory_limit=5, disk_limit="6")
    assert cache is not None and (cache.memory_limit, cache.disk_limit) == (5, 6)
    (tmp_path / "file").write_text("x")
    for wrong in (True, None, 3):
        with pytest.raises(TypeError, match='"auto" keeps what pays'):
            open_cache(wrong)
    for name, advice in (("memroy", "did you mean 'memory'"), ("off", "write False"), ("", "fo")):
        with pytest.raises(ConfigError, match=advice):
            open_cache(name)
    with pytest.raises(ConfigError, match=r"expected a folder; found the file"):
        open_cache(tmp_path / "file")
    with pytest.raises(ConfigError, match="'bf16'"):
        open_cache("auto", dtype="bfloat16")


def test_a_closed_cache_is_not_filled(tiny_model: mtf.MultiTaskModel) -> None:
    cache = open_cache("memory")
    assert cache is not None
    cache.close()
    with pytest.raises(Error, match="found one that was closed"):
        cache.fill(tiny_model, [(encode(tiny_model), None, NAMES)])


def test_a_cache_of_blanks_is_refused() -> None:
    with pytest.raises(ConfigError, match='cache: expected "auto", "memory" or a folder; found ""'):
        open_cache("  ")


def test_a_lower_boundary_that_is_lost_meanwhile_is_computed_from_the_texts(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, lost = encode(tiny_model), list[object]()
    cache = open_cache("memory")
    assert cache is not None
    cache.fill(tiny_model, [(encoded, None, NAMES[:1])])

    def gather(view: gather_module.FeatureView, rows: object) -> object:
        lost.append(rows)
        raise gather_module.MissingFeatures("lost")

    monkeypatch.setattr(gather_module.FeatureView, "gather", gather)
    cache.fill(tiny_model, [(encoded, None, NAMES[1:])])
    monkeypatch.undo()
    assert lost
    check_bits(cache, tiny_model, encoded)
    cache.close()
