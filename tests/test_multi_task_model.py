# SPDX-License-Identifier: Apache-2.0
"""`MultiTaskModel` in use: parameters, copies, forward, encode, predictions, single steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.model.encoding import calls
from support.bits import bits, changed
from support.texts import LABELS, SENTENCES, TAGGED

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}


# ---- parameters ----------------------------------------------------------------------------------


def test_parameters_are_read_only_views_that_stay_true(two_head_model: mtf.MultiTaskModel) -> None:
    view = two_head_model.parameters()["classifier.bias"]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1.0
    two_head_model.set_parameter("classifier.bias", [3, 4])
    assert view.tolist() == [3.0, 4.0]


def test_parameters_are_those_of_the_file(tiny_model: mtf.MultiTaskModel, tiny_folder: Any) -> None:
    from safetensors.numpy import load_file

    stored = load_file(str(tiny_folder / "model.safetensors"))
    for key, value in tiny_model.parameters().items():
        assert value.tobytes() == stored[key.removeprefix("backbone.")].tobytes(), key


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_trainable_parameters(two_head_model: mtf.MultiTaskModel) -> None:
    assert list(two_head_model.trainable_parameters()) == list(two_head_model.param_keys)
    two_head_model.freeze("backbone", "ner_head")
    assert list(two_head_model.trainable_parameters()) == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(
    ("key", "values", "error", "message"),
    [
        ("classifier.bais", [0, 0], mtf.SelectorError, "did you mean 'classifier.bias'"),
        ("classifier.bias", [0, 0, 0], mtf.ConfigError, r"of shape \(2,\); found \(3,\)"),
        ("classifier.bias", 0.5, mtf.ConfigError, r"of shape \(2,\); found \(\)"),
        ("classifier.bias", ["a", "b"], TypeError, "expected real numbers; found an array of <U1"),
        ("classifier.bias", [1j, 0], TypeError, "expected real numbers; found an array of complex"),
        ("classifier.bias", [None, 0], TypeError, "expected real numbers; found an array of obj"),
    ],
)
def test_set_parameter_refuses(
    two_head_model: mtf.MultiTaskModel, key: str, values: Any, error: type[Exception], message: str
) -> None:
    before = bits(two_head_model.parameters())
    with pytest.raises(error, match=message):
        two_head_model.set_parameter(key, values)
    assert not changed(before, two_head_model.parameters())


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_a_copy_is_equal_and_independent(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.step(BATCH, learning_rate=1e-3)
    two_head_model.freeze("backbone[:2]").freeze("layers[2]", pin=False)
    twin = two_head_model.copy()
    assert bits(twin.parameters()) == bits(two_head_model.parameters())
    assert twin.freeze_state() == two_head_model.freeze_state()
    assert [head.trained for head in twin.heads.values()] == [True, True]
    assert list(twin.heads) == list(two_head_model.heads)
    before = bits(two_head_model.parameters())
    twin.unfreeze().step(BATCH, learning_rate=1e-2)
    twin.remove_head("classifier")
    assert not changed(before, two_head_model.parameters())
    assert two_head_model.trainable("backbone") is False
    assert list(two_head_model.heads) == ["classifier", "ner_head"]


# ---- forward and encode --------------------------------------------------------------------------


def test_forward_names_shapes_and_offsets(two_head_model: mtf.MultiTaskModel) -> None:
    found = two_head_model.forward(SENTENCES)
    assert {name: value.shape for name, value in found.items()} == {
        "pooled": (10, 48),
        "classifier": (10, 2),
        "ner_head": (found["offsets"][-1], 5),
        "offsets": (11,),
    }
    states = two_head_model.forward(SENTENCES[:2], ["hidden"], hidden_states=True)
    assert np.array_equal(states["hidden"], states["hidden_states.3"])
    assert {f"hidden_states.{layer}" for layer in range(4)} < set(states)


def test_forward_outputs_fit_together(two_head_model: mtf.MultiTaskModel) -> None:
    found = two_head_model.forward(SENTENCES, ["hidden", "pooled", "embedding"])
    for row in range(len(SENTENCES)):
        tokens = found["hidden"][found["offsets"][row] : found["offsets"][row + 1]]
        np.testing.assert_allclose(found["pooled"][row], tokens.mean(axis=0), atol=1e-6)
    lengths = np.linalg.norm(found["pooled"], axis=1, keepdims=True)
    np.testing.assert_allclose(found["embedding"], found["pooled"] / lengths, atol=1e-6)


def test_forward_of_nothing_and_of_an_unknown_output(two_head_model: mtf.MultiTaskModel) -> None:
    found = two_head_model.forward([], ["hidden", "classifier"])
    assert found["hidden"].shape == (0, 48) and found["classifier"].shape == (0, 2)
    assert found["offsets"].tolist() == [0]
    with pytest.raises(mtf.SelectorError, match=r"unknown output 'poled'.*did you mean 'pooled'"):
        two_head_model.forward(SENTENCES, ["poled"])
    with pytest.raises(TypeError, match="outputs must be a list of names; found int 3"):
        two_head_model.forward(SENTENCES, 3)  # type: ignore[arg-type]


@pytest.mark.laws
def test_a_row_does_not_depend_on_its_batch(tiny_model: mtf.MultiTaskModel) -> None:
    texts = [" ".join(SENTENCES[i % 10] for i in range(n % 4 + 1)) for n in range(60)]
    together = tiny_model.encode(texts)
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, None):
        order = rng.permutation(len(texts))
        again = tiny_model.encode([texts[i] for i in order], batch_size=size)
        assert np.array_equal(again, together[order])
    assert np.array_equal(tiny_model.encode([texts[5]])[0], together[5])


def test_encode_normalizes_as_asked(tiny_folder: Any) -> None:
    with_norm = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    without = mtf.MultiTaskModel.from_pretrained(tiny_folder, normalize=False)
    assert (with_norm.normalize, without.normalize) == (True, False)
    unit = with_norm.encode(SENTENCES)
    plain = without.encode(SENTENCES)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).min() > 0.01
    assert np.array_equal(with_norm.encode(SENTENCES, normalize_embeddings=False), plain)
    np.testing.assert_allclose(
        without.encode(SENTENCES, normalize_embeddings=True), unit, atol=1e-6
    )


def test_encode_empty_and_long(tiny_model: mtf.MultiTaskModel) -> None:
    assert tiny_model.encode([]).shape == (0, 48)
    empty = tiny_model.encode(["", "  "])
    assert np.isfinite(empty).all() and np.array_equal(empty[0], empty[1])
    long = " ".join(["good"] * 5000)
    cut = " ".join(["good"] * (tiny_model.max_length - 2))
    assert np.array_equal(tiny_model.encode([long]), tiny_model.encode([cut]))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "expected a list of texts; found NoneType"),
        (b"text", "found one bytes"),
        ({"good": 1}, "expected a list of texts; found dict"),
        ({"good", "bad"}, "expected a list of texts; found set, which has no order; write a list"),
        (["good", None], "text 1: expected a text .*; found None"),
        ([b"good"], "text 0: .*found bytes.*decode it first"),
        ([3], "text 0: .*found int 3"),
        (
            [["good", 3]],
            r"text 0: expected a text .*found the list \['good', 3\], which may be a pair",
        ),
        (["good", ["good"]], "text 1: expected a text .*one text's words"),
    ],
)
def test_what_is_no_text_is_a_type_error(
    two_head_model: mtf.MultiTaskModel, texts: Any, message: str
) -> None:
    for call in (
        two_head_model.encode,
        lambda t: two_head_model.forward(t, ["pooled", "classifier"]),
        lambda t: two_head_model.predict("classifier", t),
    ):
        with pytest.raises(TypeError, match=message):
            call(texts)


def test_a_frame_is_no_list_of_texts_but_its_columns_are(tiny_model: mtf.MultiTaskModel) -> None:
    frame = pytest.importorskip("pandas").DataFrame({"text": ["good", "bad"], "id": [7, 8]})
    message = r"found DataFrame, which gives the names of its columns; give one .*frame\['text'\]"
    for call in (tiny_model.encode, tiny_model.forward):
        with pytest.raises(TypeError, match=message):
            call(frame)
    assert np.array_equal(tiny_model.encode(frame["text"]), tiny_model.encode(["good", "bad"]))


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, mtf.ConfigError, "batch_size must be at least 1; found 0"),
        (-3, mtf.ConfigError, "batch_size must be at least 1; found -3"),
        (1.5, TypeError, "batch_size must be a whole number; found float"),
        (True, TypeError, "batch_size must be a whole number; found bool"),
    ],
)
def test_batch_sizes_that_cannot_be(
    tiny_model: mtf.MultiTaskModel, size: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tiny_model.encode(SENTENCES, batch_size=size)


def test_calls_take_every_row_once_and_fill_up() -> None:
    lengths = np.random.default_rng(1).integers(2, 90, 500).astype(np.int64)
    cut = list(calls(lengths, tokens=1000))
    assert sorted(np.concatenate(cut).tolist()) == list(range(500))
    sums = [int(lengths[rows].sum()) for rows in cut]
    assert max(sums) <= 1000 and min(sums[:-1]) > 900
    assert [len(rows) for rows in calls(lengths, 10**6, rows=200)] == [200, 200, 100]
    assert [rows.tolist() for rows in calls(np.array([5000, 3]), tokens=100)] == [[0], [1]]


def test_progress_bar_is_drawn_on_request(
    tiny_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model.encode(SENTENCES)
    assert capsys.readouterr() == ("", "")
    tiny_model.encode(SENTENCES, show_progress_bar=True)
    assert "10/10" in capsys.readouterr().err


# ---- predictions ---------------------------------------------------------------------------------


def test_predict_is_the_label_of_the_largest_probability(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    shares: Any = two_head_model.predict_proba("classifier", SENTENCES)
    logits = two_head_model.forward(SENTENCES, ["classifier"])["classifier"]
    assert shares.shape == (10, 2) and shares.dtype == np.float32
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    labels = [("negative", "positive")[i] for i in logits.argmax(axis=1)]
    assert two_head_model.predict("classifier", SENTENCES) == labels
    assert two_head_model.predict("classifier", []) == []


def test_one_tag_a_word(two_head_model: mtf.MultiTaskModel) -> None:
    sentences = [["unheardof", "anna", "xyz"], [], ["paris"]]
    tags = two_head_model.predict("ner_head", sentences)
    assert [len(row) for row in tags] == [3, 0, 1]
    assert two_head_model.predict("ner_head", ["unheardof anna xyz", "", "paris"]) == tags
    shares: Any = two_head_model.predict_proba("ner_head", sentences)
    assert [row.shape for row in shares] == [(3, 5), (0, 5), (1, 5)]
    found = two_head_model.forward([sentences[0]], ["ner_head"])
    encoded = two_head_model.encoder.encode_words([sentences[0]])
    first = found["ner_head"][encoded.first_subwords(0)]
    assert tags[0] == [two_head_model.heads["ner_head"].labels[i] for i in first.argmax(axis=1)]


def test_words_lost_to_truncation_are_outside(two_head_model: mtf.MultiTaskModel) -> None:
    n = two_head_model.max_length
    two_head_model.set_parameter("ner_head.bias", [0, 100, 0, 0, 0])
    tags = two_head_model.predict("ner_head", [["anna"] * (n + 5)])[0]
    assert tags == ["B-person"] * (n - 2) + ["O"] * 7
    shares: Any = two_head_model.predict_proba("ner_head", [["anna"] * (n + 5)])
    assert shares[0][-1].tolist() == [1, 0, 0, 0, 0]


def test_lost_words_of_a_head_without_outside(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("tagger", mtf.TokenClassification(["noun", "verb"]))
    sentence = ["anna"] * (tiny_model.max_length + 1)
    assert tiny_model.predict("tagger", [sentence])[0][-1] == "O"
    shares: Any = tiny_model.predict_proba("tagger", [sentence])
    assert shares[0][-1].tolist() == [0, 0]


def test_predict_all_is_every_head_in_one_pass(two_head_model: mtf.MultiTaskModel) -> None:
    together = two_head_model.predict_all(SENTENCES)
    assert together == {
        "classifier": two_head_model.predict("classifier", SENTENCES),
        "ner_head": two_head_model.predict("ner_head", SENTENCES),
    }
    assert list(two_head_model.predict_all(SENTENCES, ["ner_head"])) == ["ner_head"]
    words = [text.split() for text in SENTENCES]
    assert two_head_model.predict_all(words)["ner_head"] == together["ner_head"]


def test_unknown_heads(two_head_model: mtf.MultiTaskModel, tiny_folder: Any) -> None:
    with pytest.raises(mtf.SelectorError, match="did you mean 'classifier'"):
        two_head_model.predict("clasifier", SENTENCES)
    with pytest.raises(TypeError, match="heads must be a list of names"):
        two_head_model.predict_all(SENTENCES, "classifier")  # type: ignore[arg-type]
    bare = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    with pytest.raises(mtf.SelectorError, match="the model has no heads; call add_head first"):
        bare.predict("classifier", SENTENCES)
    with pytest.raises(mtf.SelectorError, match="predict_all needs heads"):
        bare.predict_all(SENTENCES)


# ---- gradients and steps -------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences(two_head_model: mtf.MultiTaskModel) -> None:
    found = two_head_model.gradients(BATCH)
    rng = np.random.default_rng(0)
    for key in ("classifier.weight", "backbone.encoder.layer.1.output.dense.bias"):
        base = two_head_model.parameters()[key].copy()
        direction = rng.standard_normal(base.shape).astype(np.float32)
        losses = []
        for sign in (1, -1):
            two_head_model.set_parameter(key, base + sign * 1e-2 * direction)
            losses.append(mean_loss(two_head_model))
        two_head_model.set_parameter(key, base)
        slope = (losses[0] - losses[1]) / 2e-2
        assert float((found[key] * direction).sum()) == pytest.approx(slope, rel=5e-3, abs=1e-4)


def mean_loss(model: mtf.MultiTaskModel) -> float:
    """Return the sum of both heads' mean losses, from forward outputs in NumPy."""

    def mean(logits: Any, labels: list[int]) -> float:
        shifted = logits.astype(np.float64)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())

    heads = model.heads
    texts = model.forward(SENTENCES, ["classifier"])["classifier"]
    total = mean(texts, [heads["classifier"].labels.index(label) for label in LABELS])
    words = [row for row, _ in TAGGED]
    tokens = model.forward(words, ["ner_head"])
    encoded = model.encoder.encode_words(words)
    rows = [encoded.first_subwords(i) + tokens["offsets"][i] for i in range(len(words))]
    tags = [heads["ner_head"].labels.index(tag) for _, row in TAGGED for tag in row]
    return total + mean(tokens["ner_head"][np.concatenate(rows)], tags)


@pytest.mark.laws
def test_micro_batches_add_up(two_head_model: mtf.MultiTaskModel) -> None:
    whole = two_head_model.gradients(BATCH)
    cut = two_head_model.gradients(BATCH, token_budget=12)
    assert list(whole) == list(cut)
    for key, gradient in whole.items():
        np.testing.assert_allclose(cut[key], gradient, rtol=1e-4, atol=2e-6)


def test_weights_of_tasks_and_injected_gradients(two_head_model: mtf.MultiTaskModel) -> None:
    rows = BATCH["classifier"]
    once = two_head_model.gradients({"classifier": rows})
    twice = two_head_model.gradients({"classifier": mtf.Task(train=rows, weight=2.0)})
    for key, gradient in once.items():
        np.testing.assert_allclose(twice[key], 2 * gradient, rtol=1e-5, atol=1e-6)
    logits = two_head_model.forward(SENTENCES, ["classifier"])["classifier"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.array([two_head_model.heads["classifier"].labels.index(x) for x in LABELS])
    shares[np.arange(10), target] -= 1
    injected = two_head_model.gradients(
        {"classifier": rows}, injections={"classifier": (shares / 10).astype(np.float32)}
    )
    for key, gradient in once.items():
        np.testing.assert_allclose(injected[key], 2 * gradient, rtol=1e-4, atol=2e-6)
    with pytest.raises(mtf.SelectorError, match="unknown output 'clasifier'"):
        two_head_model.gradients({"classifier": rows}, injections={"clasifier": shares})


def test_steps_learn_and_repeat_bit_for_bit(two_head_model: mtf.MultiTaskModel) -> None:
    twin = two_head_model.copy()
    losses = []
    for model in (two_head_model, twin):
        results = [
            model.step(BATCH, learning_rate={"backbone": 1e-3, "heads": 1e-2}) for _ in range(30)
        ]
        losses.append([result.losses for result in results])
    assert losses[0] == losses[1]
    assert bits(two_head_model.parameters()) == bits(twin.parameters())
    assert losses[0][-1]["classifier"] < 0.5 * losses[0][0]["classifier"]
    assert losses[0][-1]["ner_head"] < 0.7 * losses[0][0]["ner_head"]


@pytest.mark.parametrize(
    ("batch", "options", "error", "message"),
    [
        ([("a", "b")], {}, TypeError, "a batch must map head names to rows"),
        ({}, {}, mtf.ConfigError, "expected at least one task; found none"),
        ({"clasifier": [("a", "b")]}, {}, mtf.ConfigError, "did you mean 'classifier'"),
        ({"classifier": [("a", "b")]}, {}, mtf.DataError, "unknown label 'b' of head 'classifier'"),
        (BATCH, {"learning_rate": float("nan")}, mtf.ConfigError, "learning_rate"),
        (BATCH, {"learning_rate": {"heads": 1e-3}}, mtf.ConfigError, "without a rate"),
        (BATCH, {"learning_rate": {"haeds": 1e-3}}, mtf.SelectorError, "did you mean 'heads'"),
        (BATCH, {"token_budget": 0}, mtf.ConfigError, "token_budget must be at least 1"),
    ],
)
def test_steps_that_cannot_be(
    two_head_model: mtf.MultiTaskModel,
    batch: Any,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    before = bits(two_head_model.parameters())
    with pytest.raises(error, match=message):
        two_head_model.step(batch, **{"learning_rate": 1e-3, **options})
    assert not changed(before, two_head_model.parameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "injections must map outputs to arrays; found int"),
        ({"pooled": [1.0]}, r"injections\['pooled'\] must be an array; found list"),
    ],
)
def test_injections_are_arrays_by_output(
    two_head_model: mtf.MultiTaskModel, wrong: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        two_head_model.gradients(BATCH, injections=wrong)


def test_a_freeze_state_is_one_of_a_model(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"state must be a FreezeState; found str"):
        two_head_model.set_freeze_state("backbone")  # type: ignore[arg-type]


def test_notes_on_tasks_are_by_name(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    before = dict(two_head_model.tasks)
    with pytest.raises(TypeError, match="tasks must be notes by name; found list"):
        two_head_model.save_pretrained(tmp_path / "out", tasks=["classifier"])  # type: ignore[arg-type]
    assert two_head_model.tasks == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("one", "a kind"), TypeError, "head 'one': expected .*; found str"),
        (("one", None, "classifier"), mtf.ConfigError, "head= chooses one of the heads of"),
        (("one", "a kind", None, "x"), TypeError, "to make it from the checkpoint; found str"),
    ],
)
def test_heads_that_cannot_be_added(
    two_head_model: mtf.MultiTaskModel,
    arguments: tuple[Any, ...],
    error: type[Exception],
    message: str,
) -> None:
    name, spec, head, source = (*arguments, None, None)[:4]
    with pytest.raises(error, match=message):
        two_head_model.add_head(name, spec, from_pretrained=source, head=head)
    assert list(two_head_model.heads) == ["classifier", "ner_head"]


def test_what_makes_no_array_is_named(two_head_model: mtf.MultiTaskModel) -> None:
    class NoArray:
        def __array__(self, *args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("never")

    with pytest.raises(TypeError, match=r"expected an array .*NoArray .*ZeroDivisionError: never"):
        two_head_model.set_parameter("classifier.bias", NoArray())


def test_a_model_is_saved_from_a_folder_that_is_gone(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for _ in range(2):  # the second time in the place of the first
        tiny_model.save_pretrained(tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert not changed(bits(tiny_model.parameters()), again.parameters())


def test_a_path_of_nothing_is_refused(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match="must be the name of a file or folder; found ''"):
        two_head_model.save_pretrained("")


# ---- the real model ------------------------------------------------------------------------------


@pytest.mark.real
def test_the_real_model_knows_what_is_alike(minilm_shared: mtf.MultiTaskModel) -> None:
    assert (minilm_shared.pooling, minilm_shared.normalize) == ("mean", True)
    assert (minilm_shared.max_length, minilm_shared.width) == (256, 384)
    vectors = minilm_shared.encode(
        ["A man is eating food.", "A man eats a meal.", "The stock market fell sharply."]
    )
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.7 > 0.2 > alike[0, 2]
