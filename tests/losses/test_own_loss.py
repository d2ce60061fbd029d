# SPDX-License-Identifier: Apache-2.0
"""`Task(loss=callable)`: a loss of one's own trains as one of the core does, and cannot do harm."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.labels import IGNORE
from mtfreeze.errors import ConfigError, TrainingError
from mtfreeze.losses.own import loss_name, loss_sum
from support.bits import bits, changed
from support.small_tasks import ROWS, quick_fit
from support.texts import TAGGED

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


def cross_entropy(outputs: Any, targets: Any) -> tuple[float, Any]:
    """Return what the core's cross entropy is, written down independently."""
    z = outputs.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    value = -np.log(p[rows, targets]).mean()
    p[rows, targets] -= 1
    return value, p / len(z)


def hinge(outputs: Any, targets: Any) -> tuple[float, Any]:
    """Return another loss: each wrong class must stay a distance of 1 below the right one."""
    rows = np.arange(len(outputs))
    over = np.maximum(0, 1 + outputs - outputs[rows, targets][:, None])
    over[rows, targets] = 0
    gradient = (over > 0).astype(np.float32)
    gradient[rows, targets] = -gradient.sum(axis=1)
    return over.sum() / len(outputs), gradient / len(outputs)


class Seen:
    """A loss that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, outputs: Any, targets: Any) -> tuple[float, Any]:
        self.calls.append((outputs.copy(), targets.copy()))
        return cross_entropy(outputs, targets)


def own_tasks(loss: Any = cross_entropy, **classifier: Any) -> dict[str, mtf.Task]:
    """Return the tasks of ``two_head_model``, both with a loss of their own."""
    return {
        "classifier": mtf.Task(train=ROWS, eval=ROWS, loss=loss, **classifier),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED, loss=loss),
    }


def core_tasks() -> dict[str, mtf.Task]:
    """Return the same tasks with the losses of the core."""
    return {
        "classifier": mtf.Task(train=ROWS, eval=ROWS),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED),
    }


def close(first: mtf.MultiTaskModel, second: mtf.MultiTaskModel) -> None:
    """Check that two models have the same weights but for rounding."""
    for key, value in first.parameters().items():
        np.testing.assert_allclose(second.parameters()[key], value, rtol=1e-3, atol=2e-4)


# ---- it trains as a loss of the core does -------------------------------------------------------


@pytest.mark.parametrize("budget", [4096, 20])
@pytest.mark.parametrize("frozen", ["none", "backbone", "backbone[:2]", "ner_head"])
def test_cross_entropy_of_ones_own_trains_like_that_of_the_core(
    two_head_model: mtf.MultiTaskModel, frozen: str, budget: int
) -> None:
    model = two_head_model.freeze(frozen)
    twin = model.copy()
    settings = {"token_budget": budget, "mixing": "joint", "epochs": 1, "eval_every": "epoch"}
    run = quick_fit(model, core_tasks(), **settings)
    own = quick_fit(twin, own_tasks(), **settings)
    close(model, twin)
    assert own.frozen.ok and own.n_steps == run.n_steps
    for mine, theirs in zip(own.history, run.history, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine.keys() - {"seconds"}:
            want = theirs[name]
            near = pytest.approx(want, rel=2e-3, abs=1e-5) if isinstance(want, float) else want
            assert mine[name] == near, name
    assert [h.trained for h in twin.heads.values()] == [h.trained for h in model.heads.values()]


def test_gradients_and_step_take_it(two_head_model: mtf.MultiTaskModel) -> None:
    model, twin = two_head_model, two_head_model.copy()
    want = model.gradients(core_tasks(), dropout=True, seed=4)
    for budget in (4096, 20):
        found = model.gradients(own_tasks(), dropout=True, seed=4, token_budget=budget)
        assert found.keys() == want.keys()
        for key, value in want.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-6)
    first = model.step(core_tasks(), learning_rate=1e-3)
    second = twin.step(own_tasks(), learning_rate=1e-3)
    assert second.losses == pytest.approx(first.losses, rel=1e-6)
    assert second.grad_norm == pytest.approx(first.grad_norm, rel=1e-4)
    assert second.n_stepped == first.n_stepped
    close(model, twin)


def test_weight_injections_and_losses_of_the_core_beside_it(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model
    rng = np.random.default_rng(0)
    beside = {
        "pooled": rng.normal(size=(len(ROWS), 48)).astype(np.float32),
        "classifier": rng.normal(size=(len(ROWS), 2)).astype(np.float32),
    }
    for budget in (4096, 20):
        found, want = (
            model.gradients(
                {"classifier": mtf.Task(train=ROWS, weight=0.3, **loss)},
                injections=beside,
                token_budget=budget,
            )
            for loss in ({"loss": cross_entropy}, {})
        )
        assert found.keys() == want.keys()
        for key, value in want.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-5)
    mixed = {**core_tasks(), "classifier": own_tasks()["classifier"]}
    for budget in (4096, 20):
        found = model.gradients(mixed, token_budget=budget)
        want = model.gradients(core_tasks(), token_budget=budget)
        for key, value in want.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-6)


def test_it_sees_the_labelled_rows_of_the_whole_step(two_head_model: mtf.MultiTaskModel) -> None:
    """In any number of micro-batches, and with the same bits."""
    model = two_head_model
    rows = [{"text": text, "labels": {"classifier": y}} for text, y in ROWS]
    rows[1]["labels"] = {"other": "x"}
    seen = {}
    for budget in (4096, 40, 1):
        loss, tags = Seen(), Seen()
        tasks = {
            "classifier": mtf.Task(train=rows, loss=loss),
            "ner_head": mtf.Task(train=TAGGED, loss=tags),
        }
        model.gradients(tasks, dropout=True, token_budget=budget)
        ((outputs, targets),) = loss.calls
        assert outputs.shape == (len(ROWS) - 1, 2) and outputs.dtype == np.float32
        names = [y for i, (_, y) in enumerate(ROWS) if i != 1]
        assert targets.dtype == np.int32
        assert [model.heads["classifier"].labels[code] for code in targets] == names
        ((words, codes),) = tags.calls
        assert len(words) == len(codes) == sum(len(line) for _, line in TAGGED)
        seen[budget] = outputs.tobytes(), words.tobytes()
    assert len(set(seen.values())) == 1


def test_learned_weights_move_on_with_it(two_head_model: mtf.MultiTaskModel) -> None:
    model, twin = two_head_model, two_head_model.copy()
    settings = {"loss_weighting": "uncertainty", "mixing": "joint"}
    run, own = quick_fit(model, core_tasks(), **settings), quick_fit(twin, own_tasks(), **settings)
    name = "weight.classifier"
    weights = [[row[name] for row in one.history if name in row] for one in (run, own)]
    assert weights[0] == pytest.approx(weights[1], rel=1e-4) and len(set(weights[1])) > 1


def test_the_same_call_gives_the_same_bits(two_head_model: mtf.MultiTaskModel) -> None:
    models = [two_head_model.copy() for _ in range(2)]
    losses = [quick_fit(model, own_tasks(hinge)).losses() for model in models]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    assert bits(models[0].parameters()) == bits(models[1].parameters())


def test_what_is_frozen_keeps_its_bits(two_head_model: mtf.MultiTaskModel) -> None:
    for frozen in ("backbone[:2]", "classifier", "heads", "*.bias"):
        model = two_head_model.copy().freeze(frozen)
        before = bits(model.parameters())
        still = {key for key in before if not model.trainable(key)}
        run = quick_fit(model, own_tasks(hinge, train_through_frozen=True), token_budget=20)
        assert run.frozen.ok and not still & set(changed(before, model.parameters()))


def test_features_of_a_frozen_prefix_give_the_same_bits(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    found = []
    for cache in (False, "memory"):
        model = two_head_model.copy().freeze("backbone")
        run = quick_fit(model, own_tasks(hinge), cache=cache, token_budget=20)
        found.append((run.losses(), bits(model.parameters())))
    assert found[0] == found[1]


# ---- evaluation, estimates, comparisons ---------------------------------------------------------


def test_an_evaluation_reports_it(two_head_model: mtf.MultiTaskModel) -> None:
    want = mtf.evaluate(two_head_model, core_tasks())
    found = mtf.evaluate(two_head_model, own_tasks())
    assert found == pytest.approx(want, rel=1e-6)
    other = mtf.evaluate(two_head_model, own_tasks(hinge))
    assert other["eval_classifier_loss"] != pytest.approx(want["eval_classifier_loss"])
    assert other["eval_classifier_accuracy"] == want["eval_classifier_accuracy"]


def test_an_estimate_takes_it(two_head_model: mtf.MultiTaskModel) -> None:
    estimate = mtf.estimate(two_head_model, own_tasks(), epochs=2, batch_size=4)
    assert estimate.seconds > 0


def test_other_processes_are_refused_it_before_anything_is_written(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    folder = tmp_path / "comparison"
    settings = {"output_dir": folder, "progress": False}
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(ConfigError, match=r"task 'classifier' has a loss of its own, .*hinge"),
    ):
        mtf.compare(two_head_model, own_tasks(hinge), executor=pool, **settings)
    assert not folder.exists()


# ---- checkpoints --------------------------------------------------------------------------------


def test_a_run_goes_on_with_the_same_bits(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    whole, again = two_head_model.freeze("backbone[:2]").copy(), two_head_model.copy()
    settings = {"save_every": 3, "keep_checkpoints": 9, "token_budget": 30}
    run = quick_fit(whole, own_tasks(hinge), output_dir=tmp_path / "out", **settings)
    checkpoint = tmp_path / "out" / "checkpoints" / "step-00000003"
    settings["output_dir"] = tmp_path / "again"
    second = quick_fit(again, own_tasks(hinge), resume=checkpoint, **settings)
    assert bits(again.parameters()) == bits(whole.parameters())
    assert second.losses() == run.losses()
    for tasks, now in ((own_tasks(), "cross_entropy"), (core_tasks(), "None")):
        said = rf"tasks\.classifier\.loss: '.*hinge' then, .*{now}.* now"
        with pytest.raises(ConfigError, match=said):
            quick_fit(two_head_model.copy(), tasks, resume=checkpoint, **settings)


def test_names_of_losses() -> None:
    assert loss_name(hinge).endswith("test_own_loss.hinge")
    assert loss_name(Seen()).endswith("test_own_loss.Seen")
    assert repr(mtf.Task(train=ROWS, loss=hinge)).endswith("test_own_loss.hinge)")


# ---- what is refused ----------------------------------------------------------------------------


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"function \(outputs, targets\).*found str 'focal'"):
        mtf.Task(train=ROWS, loss="focal")  # type: ignore[arg-type]


def like(outputs: Any, value: float = 0.0) -> Any:
    """Return a gradient of the right shape."""
    return np.full_like(outputs, value)


BAD = {
    "nothing": (lambda y, t: None, "found NoneType"),
    "a value alone": (lambda y, t: 1.0, "found float"),
    "a list": (lambda y, t: [1.0, like(y)], "found list"),
    "three": (lambda y, t: (1.0, like(y), 2), r"found \(float, ndarray, int\)"),
    "a text": (lambda y, t: ("low", like(y)), r"found \(str, ndarray\)"),
    "many values": (lambda y, t: (y, like(y)), r"found \(ndarray, ndarray\)"),
    "value nan": (lambda y, t: (np.nan, like(y)), "finite value; found nan, with 0 of 4 rows"),
    "value infinite": (lambda y, t: (np.inf, like(y)), "finite value; found inf"),
    "no gradient": (lambda y, t: (1.0, None), "found NoneType, which is no array"),
    "gradient of texts": (lambda y, t: (1.0, [["a", "b"]] * len(y)), "found list, which is no"),
    "ragged gradient": (lambda y, t: (1.0, [[1.0], [1.0, 2.0]]), "found list, which is no array"),
    "complex gradient": (lambda y, t: (1.0, like(y) * 1j), "found ndarray, which is no array"),
    "gradient a row short": (
        lambda y, t: (1.0, like(y)[1:]),
        r"\(4, 2\); found the shape \(3, 2\)",
    ),
    "gradient a column": (lambda y, t: (1.0, like(y)[:, 0]), r"found the shape \(4,\)"),
    "gradient nan": (lambda y, t: (1.0, like(y, np.nan)), "found 8 values that are not finite"),
    "gradient beyond": (lambda y, t: (1.0, y.astype("f8") * 0 + 1e300), "8 values that are not"),
}


@pytest.mark.parametrize("budget", [4096, 10])
@pytest.mark.parametrize("name", BAD)
def test_bad_returns_leave_the_weights(
    two_head_model: mtf.MultiTaskModel, name: str, budget: int
) -> None:
    model = two_head_model
    loss, message = BAD[name]
    good = {"classifier": mtf.Task(train=ROWS[:4], loss=cross_entropy)}
    model.step(good, learning_rate=1e-3)
    before = bits(model.parameters())
    bad = {"classifier": mtf.Task(train=ROWS[:4], loss=loss)}
    with pytest.raises(TrainingError, match=message) as caught:
        model.step(bad, learning_rate=1e-3, token_budget=budget)
    assert "step 2, task 'classifier'" in str(caught.value)
    assert "weights are as before" in str(caught.value)
    assert bits(model.parameters()) == before
    model.step(good, learning_rate=1e-3)
    assert changed(before, model.parameters())


def test_a_run_ends_at_the_step_that_went_wrong(two_head_model: mtf.MultiTaskModel) -> None:
    model, calls = two_head_model, []

    def late(outputs: Any, targets: Any) -> tuple[float, Any]:
        calls.append(len(outputs))
        value, gradient = cross_entropy(outputs, targets)
        return (value if len(calls) < 3 else np.nan), gradient

    task = {"classifier": mtf.Task(train=ROWS, loss=late)}
    with pytest.raises(TrainingError, match=r"^step 3, task 'classifier': .*late"):
        quick_fit(model, task)
    after = bits(model.parameters())
    assert all(np.isfinite(value).all() for value in model.parameters().values())
    quick_fit(model, core_tasks(), epochs=1)
    assert changed(after, model.parameters())


@pytest.mark.parametrize("kind", [ZeroDivisionError, TrainingError, KeyboardInterrupt])
def test_an_exception_of_its_own_passes_through(
    two_head_model: mtf.MultiTaskModel, kind: type[BaseException]
) -> None:
    model, error = two_head_model, kind("mine")

    def broken(outputs: Any, targets: Any) -> tuple[float, Any]:
        raise error

    before = bits(model.parameters())
    task = {"classifier": mtf.Task(train=ROWS, loss=broken)}
    for train in (
        lambda: model.step(task, learning_rate=1e-3),
        lambda: model.gradients(task, token_budget=10),
        *([] if kind is KeyboardInterrupt else [lambda: quick_fit(model, task)]),
    ):
        with pytest.raises(kind, match=re.escape("mine")) as caught:
            train()
        assert caught.value is error
        assert bits(model.parameters()) == before
    model.step(core_tasks(), learning_rate=1e-3)
    assert changed(before, model.parameters())


def test_rows_without_a_target_have_no_loss() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        raise AssertionError("there is nothing to ask it for")

    targets = np.full(3, IGNORE, dtype=np.int32)
    assert loss_sum(loss, np.zeros((3, 2), np.float32), targets, "here") == (0.0, 0)
