# SPDX-License-Identifier: Apache-2.0
"""The law of freezing as a user meets it: what is frozen does not move, costs nothing, and stays.

Every point of the law has a test here; the core's own tests say the same of the plans in C.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.freezing.state import FreezeState
from support.bits import bits, changed
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}
MODES: list[Any] = [
    "backbone",
    "classifier",
    "ner_head",
    "backbone[:2]",
    "none",
    "layers[1:2]",
    "*.bias",
]
MODES += ["layers[1].attention", ["backbone", "!layers[1].output"]]
QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


def train(model: mtf.MultiTaskModel, n: int = 3, **options: Any) -> None:
    for _ in range(n):
        model.step(BATCH, learning_rate=1e-2, weight_decay=0.1, **options)


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize("mode", MODES)
def test_frozen_bits_stay_and_the_rest_moves(two_head_model: mtf.MultiTaskModel, mode: Any) -> None:
    two_head_model.freeze(mode)
    before = bits(two_head_model.parameters())
    frozen = two_head_model.freeze_state().frozen
    train(two_head_model, 20)
    moved = set(changed(before, two_head_model.parameters()))
    assert not moved & frozen
    reached = set(two_head_model.param_keys) - frozen
    # A key bias shifts every score of a query alike, so its true gradient is zero.
    assert {key for key in reached - moved if not key.endswith("key.bias")} == set()


@QUIET
@pytest.mark.laws
def test_everything_frozen_is_refused_by_a_step(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.freeze().parameters())
    with pytest.raises(mtf.ConfigError, match="found everything frozen; unfreeze a part"):
        train(two_head_model)
    assert not changed(before, two_head_model.parameters())


@QUIET
@pytest.mark.laws
def test_frozen_has_no_gradient_no_moments_and_no_share_in_the_norm(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    full = two_head_model.gradients(BATCH)
    two_head_model.freeze("backbone[:2]", "*.bias")
    part = two_head_model.gradients(BATCH)
    frozen = two_head_model.freeze_state().frozen
    assert set(part) == set(full) - frozen
    for key, gradient in part.items():
        np.testing.assert_allclose(gradient, full[key], rtol=1e-4, atol=1e-6)
    norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in part.values()))
    result = two_head_model.step(BATCH, learning_rate=1e-3, dropout=False)
    assert result.grad_norm == pytest.approx(norm, rel=1e-5)
    assert result.n_stepped == len(part)
    for position, key in enumerate(two_head_model.param_keys):
        assert (two_head_model._core.state(position) is None) == (key in frozen)


@QUIET
@pytest.mark.laws
def test_units_are_frozen_partly_or_trainable(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    model.freeze("layers[1]", "backbone.encoder.layer.2.output.dense.bias")
    assert model.trainable("layers[1]") is False
    assert model.trainable("layers[2]") == "partial"
    assert model.trainable("backbone.encoder.layer.2.output.dense.bias") is False
    assert model.trainable("layers[0]") is True
    assert model.trainable("backbone") == model.trainable("all") == "partial"
    assert model.trainable("heads") is True


@QUIET
@pytest.mark.laws
def test_dropout_is_off_exactly_in_frozen_units(two_head_model: mtf.MultiTaskModel) -> None:
    def dropout(*frozen: str) -> dict[str, bool]:
        two_head_model.unfreeze()
        two_head_model.freeze(*frozen)
        plan = two_head_model._core.plan(
            ["classifier", "ner_head"], training=True, offsets={"tokens": np.arange(0, 65, 16)}
        )
        return dict(
            zip(two_head_model.unit_index, [unit.dropout for unit in plan.units], strict=True)
        )

    assert dropout("backbone[:2]", "classifier") == {
        "backbone.embeddings": False,
        "backbone.layers[0]": False,
        "backbone.layers[1]": False,
        "backbone.layers[2]": True,
        "classifier": False,
        "ner_head": True,
    }
    assert dropout("backbone.encoder.layer.*.weight")["backbone.layers[0]"] is True


@QUIET
@pytest.mark.laws
def test_dropout_acts_in_trainable_units_only(two_head_model: mtf.MultiTaskModel) -> None:
    def loss_gradient(seed: int) -> bytes:
        found = two_head_model.gradients(BATCH, dropout=True, seed=seed)
        return found["ner_head.weight"].tobytes()

    assert loss_gradient(0) != loss_gradient(1)
    assert loss_gradient(0) == loss_gradient(0)
    two_head_model.remove_head("ner_head")
    two_head_model.add_head(
        "ner_head",
        mtf.TokenClassification(TAGS, dropout=0.0),
    )
    two_head_model.freeze("backbone")
    assert loss_gradient(0) == loss_gradient(1)


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize(
    ("frozen", "prefix"),
    [
        (["backbone[:2]"], 3),
        (["backbone"], 4),
        (["layers"], 0),
        (["embeddings"], 1),
        (["backbone[:1]", "layers[2]"], 2),
        (["embeddings", "backbone.encoder.layer.0.*.weight"], 1),
        (["none"], 0),
    ],
)
def test_the_prefix_is_the_frozen_run_from_the_input(
    two_head_model: mtf.MultiTaskModel, frozen: list[str], prefix: int
) -> None:
    two_head_model.freeze(*frozen)
    plan = two_head_model._core.plan(
        ["classifier"], training=True, offsets={"tokens": np.arange(0, 65, 16)}
    )
    inside = [unit.in_prefix for unit in plan.units]
    assert inside == [position < prefix for position in range(len(inside))]


@QUIET
@pytest.mark.laws
def test_what_no_loss_reached_is_not_stepped(two_head_model: mtf.MultiTaskModel) -> None:
    train(two_head_model)
    ner = [two_head_model.index.key_index[key] for key in ("ner_head.weight", "ner_head.bias")]
    before = {key: value.tobytes() for key, value in two_head_model.parameters().items()}
    states = [two_head_model._core.state(position) for position in ner]
    two_head_model.step(
        {"classifier": BATCH["classifier"]}, learning_rate=1e-2, weight_decay={"all": 0.5}
    )
    assert not {"ner_head.weight", "ner_head.bias"} & set(
        changed(before, two_head_model.parameters())
    )
    for position, old in zip(ner, states, strict=True):
        new = two_head_model._core.state(position)
        assert old is not None and new is not None
        assert [new[0].tobytes(), new[1].tobytes(), new[2]] == [
            old[0].tobytes(),
            old[1].tobytes(),
            old[2],
        ]


@pytest.mark.laws
def test_unused_tensors_are_no_parameters(two_head_model: mtf.MultiTaskModel) -> None:
    assert set(two_head_model.unused) == {
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    }
    assert not [
        key for key in two_head_model.param_keys if "pooler" in key or "position_ids" in key
    ]


@QUIET
@pytest.mark.laws
def test_a_frozen_head_adds_no_loss_unless_asked(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("ner_head")
    result = two_head_model.step(BATCH, learning_rate=1e-3)
    assert list(result.losses) == ["classifier"]
    with pytest.raises(mtf.ConfigError, match="train_through_frozen=True"):
        two_head_model.gradients({"ner_head": TAGGED})
    through = mtf.Task(train=TAGGED, train_through_frozen=True)
    gradients = two_head_model.gradients({"ner_head": through})
    assert "ner_head.weight" not in gradients
    assert np.any(gradients["backbone.encoder.layer.0.output.dense.weight"])


@pytest.mark.laws
def test_freezing_an_untrained_head_warns(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.warns(mtf.UntrainedHeadWarning, match="'ner_head', which no step has trained"):
        two_head_model.freeze("ner_head")
    two_head_model.unfreeze()
    train(two_head_model, 1)
    assert [head.trained for head in two_head_model.heads.values()] == [True, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two_head_model.freeze("heads")


@pytest.mark.laws
def test_warnings_point_at_the_caller(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.warns(mtf.FreezeWarning) as caught:
        two_head_model.freeze("ner_head")
        two_head_model.freeze("layers[1]")
        with two_head_model.frozen("classifier"):
            pass
    assert [one.filename for one in caught] == [__file__] * 3


@pytest.mark.laws
@pytest.mark.parametrize(
    ("selector", "proposal"),
    [
        ("layers[:2]", "'backbone[:2]'"),
        ("layers[2]", "'backbone[:3]'"),
        ("layers", "'backbone[:3]'"),
    ],
)
def test_layers_frozen_above_trainable_embeddings_warn(
    two_head_model: mtf.MultiTaskModel, selector: str, proposal: str
) -> None:
    with pytest.warns(mtf.NoPrefixWarning) as caught:
        two_head_model.freeze(selector)
    assert f"did you mean {proposal}" in str(caught[0].message)
    assert two_head_model.trainable(selector) is False


@pytest.mark.laws
def test_a_frozen_prefix_does_not_warn(two_head_model: mtf.MultiTaskModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two_head_model.freeze("backbone[:2]").freeze("layers[2]").freeze("*.layer.0.*.bias")


@QUIET
@pytest.mark.laws
def test_pins(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    model.freeze("embeddings").freeze("layers[0]", pin=False).freeze("ner_head")
    state = model.freeze_state()
    pinned = {key for key in state.frozen if "embeddings" in key or key.startswith("ner_head")}
    assert state.pinned == pinned
    assert state.pinned_heads == {"ner_head"}
    model.unfreeze("ner_head", "backbone.embeddings.LayerNorm.weight")
    state = model.freeze_state()
    assert state.pinned == {key for key in pinned if "embeddings" in key} - {
        "backbone.embeddings.LayerNorm.weight"
    }
    assert state.pinned_heads == frozenset()


@QUIET
@pytest.mark.laws
def test_unfreezing_starts_at_zero_and_keeps_the_others(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model
    core, where = model._core, model.index.key_index
    low, high = "backbone.encoder.layer.0.output.dense.weight", "classifier.weight"
    model.freeze("backbone[:2]")
    train(model, 2)
    assert core.state(where[low]) is None
    model.unfreeze("layers[0]")
    kept = core.state(where[high])
    assert kept is not None and kept[2] == 2
    train(model, 1)
    fresh, later = core.state(where[low]), core.state(where[high])
    assert fresh is not None and later is not None
    assert (fresh[2], later[2]) == (1, 3)
    model.freeze("layers[0]")
    assert core.state(where[low]) is None
    model.unfreeze("layers[0]")
    train(model, 1)
    again = core.state(where[low])
    assert again is not None and again[2] == 1


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize(("k", "layers"), [(0, []), (2, [0, 1]), (3, [0, 1, 2]), (-1, [0, 1])])
def test_freeze_to(two_head_model: mtf.MultiTaskModel, k: int, layers: list[int]) -> None:
    two_head_model.freeze("backbone.layers[2]", "ner_head").freeze_to(k)
    for layer in range(3):
        assert two_head_model.trainable(f"layers[{layer}]") is (layer not in layers)
    assert two_head_model.trainable("embeddings") is False
    assert two_head_model.trainable("ner_head") is False
    assert two_head_model.trainable("classifier") is True


def test_freeze_to_checks_first(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("embeddings")
    before = two_head_model.freeze_state()
    with pytest.raises(mtf.SelectorError, match="from -3 to 3; found 4"):
        two_head_model.freeze_to(4)
    with pytest.raises(TypeError, match="found str '2'; give the number of layers to freeze"):
        two_head_model.freeze_to("2")  # type: ignore[arg-type]
    assert two_head_model.freeze_state() == before


@QUIET
@pytest.mark.laws
def test_freeze_is_idempotent_chainable_and_needs_no_argument(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    once = two_head_model.freeze("backbone").freeze_state()
    assert two_head_model.freeze("backbone").freeze_state() == once
    assert two_head_model.freeze() is two_head_model
    assert two_head_model.trainable("all") is False
    assert two_head_model.unfreeze().trainable("all") is True
    assert two_head_model.freeze_state() == mtf.MultiTaskModel.freeze_state(two_head_model)
    assert not two_head_model.freeze_state().pinned


@QUIET
@pytest.mark.laws
def test_frozen_restores_the_exact_state(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("layers[1]", pin=False).freeze("*.layer.2.*.bias")
    before = two_head_model.freeze_state()
    with two_head_model.frozen("backbone", "ner_head") as inside:
        assert inside is two_head_model
        assert two_head_model.trainable("backbone") is False
        two_head_model.unfreeze("layers[1]")
    assert two_head_model.freeze_state() == before
    with pytest.raises(KeyError), two_head_model.frozen():
        raise KeyError
    assert two_head_model.freeze_state() == before
    with pytest.raises(mtf.SelectorError), two_head_model.frozen("nothing"):
        pass
    assert two_head_model.freeze_state() == before


@QUIET
def test_heads_added_inside_a_block_keep_their_state(tiny_model: mtf.MultiTaskModel) -> None:
    with tiny_model.frozen("backbone"):
        tiny_model.add_head("new", mtf.SequenceClassification(["a", "b"]))
        tiny_model.freeze("new")
    assert tiny_model.trainable("backbone") is True
    assert tiny_model.trainable("new") is False


@QUIET
def test_adding_and_removing_heads_keeps_the_freeze_state(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone[:1]", "classifier")
    before = two_head_model.freeze_state()
    two_head_model.add_head("third", mtf.SequenceClassification(["a", "b"]))
    assert two_head_model.freeze_state() == before
    assert two_head_model.trainable("third") is True
    two_head_model.remove_head("ner_head").remove_head("third")
    assert two_head_model.freeze_state() == before
    assert [head.frozen for head in two_head_model.heads.values()] == [True]


@QUIET
@pytest.mark.laws
def test_freezing_more_never_costs_more(two_head_model: mtf.MultiTaskModel) -> None:
    def bytes_kept() -> int:
        table = two_head_model.summary()
        return table.gradient_bytes + table.moment_bytes + table.saved_bytes

    costs = [bytes_kept()]
    for part in ("embeddings", "layers[0]", "layers[1]", "layers[2]", "classifier"):
        costs.append((two_head_model.freeze(part), bytes_kept())[1])
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0] / 10


@QUIET
@pytest.mark.laws
def test_frozen_bits_survive_a_failed_step(two_head_model: mtf.MultiTaskModel) -> None:
    weights = np.zeros((2, 48), np.float32)
    weights[0, 0] = np.inf
    two_head_model.set_parameter("classifier.weight", weights)
    before = bits(two_head_model.parameters())
    with pytest.raises(mtf.TrainingError, match=r"loss of .classifier. is not finite .* in step 1"):
        train(two_head_model, 1)
    assert not changed(before, two_head_model.parameters())
    two_head_model.set_parameter("classifier.weight", np.zeros((2, 48)))
    train(two_head_model, 1)


@QUIET
@pytest.mark.laws
@pytest.mark.real
@pytest.mark.parametrize("mode", ["backbone", "backbone[:3]", "ner_head"])
def test_frozen_bits_stay_on_real_weights(minilm_shared: mtf.MultiTaskModel, mode: str) -> None:
    model = minilm_shared.copy()
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head(
        "ner_head",
        mtf.TokenClassification(TAGS),
    )
    model.freeze(mode)
    before = bits(model.parameters())
    frozen = model.freeze_state().frozen
    train(model, 2)
    moved = set(changed(before, model.parameters()))
    assert moved and not moved & frozen


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_a_freeze_state_prints_units_and_counts(two_head_model: mtf.MultiTaskModel) -> None:
    assert repr(FreezeState()) == "FreezeState(frozen: none, pinned: none)"
    two_head_model.freeze("backbone[:2]").freeze("ner_head", pin=False)
    two_head_model.freeze("re:layer\\.2.*query", pin=False)
    state = two_head_model.freeze_state()
    lower = int(two_head_model.select("backbone[:2]").sum())
    assert repr(state) == (
        f"FreezeState(frozen: backbone[:2], ner_head, backbone.layers[2] (partly) ({lower + 4} "
        f"tensors), pinned: backbone[:2] ({lower} tensors))"
    )
    # Made by hand it knows no model, but is the same state.
    plain = FreezeState(state.frozen, state.frozen_heads, state.pinned, state.pinned_heads)
    assert plain == state and hash(plain) == hash(state) and copy.deepcopy(state) == state
    assert repr(plain) == (
        f"FreezeState(frozen: ner_head, {lower + 4} tensors, pinned: {lower} tensors)"
    )
    two_head_model.unfreeze().set_freeze_state(plain)
    assert repr(two_head_model.freeze_state()) == repr(state)
