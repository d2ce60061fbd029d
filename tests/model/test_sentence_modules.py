# SPDX-License-Identifier: Apache-2.0
"""Poolings, Dense modules and prompts of a folder: what they compute, train, save, and refuse."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.features import clear_memory, open_cache
from mtfreeze.features.keys import text_keys
from support.bits import bits
from support.sentence_folders import MODES, WIDTH, dense, write_sentence_folder
from support.small_tasks import quick_fit, two_tasks
from support.texts import LABELS, SENTENCES

load = mtf.MultiTaskModel.from_pretrained
PROMPTS = {"query": "find the ", "none": ""}
TAGS = ["O", "B-person", "I-person", "B-location", "I-location"]


def by_formula(mode: str, rows: Any, first: int) -> Any:
    """Return a pooling of one text's token vectors, (n, width), without its first ones."""
    kept = rows[first:].astype(np.float64)
    weights = np.arange(first + 1, len(rows) + 1)[:, None]
    return {
        "cls": lambda: kept[0],
        "lasttoken": lambda: kept[-1],
        "max": lambda: kept.max(axis=0),
        "mean": lambda: kept.mean(axis=0),
        "mean_sqrt_len_tokens": lambda: kept.sum(axis=0) / np.sqrt(len(kept)),
        "weightedmean": lambda: (weights * kept).sum(axis=0) / weights.sum(),
    }[mode]()


def with_heads(model: mtf.MultiTaskModel, **spec: Any) -> mtf.MultiTaskModel:
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"], **spec))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model


# ---- what is computed ----------------------------------------------------------------------------


@pytest.mark.parametrize("include_prompt", [True, False])
def test_poolings_are_their_formulas(tmp_path: Path, include_prompt: bool) -> None:
    write_sentence_folder(
        tmp_path,
        include_prompt=include_prompt,
        prompts=PROMPTS,
        default_prompt="query",
    )
    n_skipped = (
        0 if include_prompt else len(load(tmp_path).encoder.encode_texts(["find the"], "")[0]) - 1
    )
    for pooling in (*MODES, "mean+cls", "+".join(reversed(MODES))):
        model = load(tmp_path, pooling=pooling)
        assert (model.pooling, model.width) == (pooling, WIDTH * len(pooling.split("+")))
        found = model.forward(SENTENCES, ["hidden", "pooled"])
        for text, (begin, end) in enumerate(pairwise(found["offsets"])):
            rows = found["hidden"][begin:end]
            expected = np.concatenate(
                [by_formula(mode, rows, n_skipped) for mode in pooling.split("+")]
            )
            np.testing.assert_allclose(found["pooled"][text], expected, rtol=0, atol=1e-5)
        assert model.encode(SENTENCES, batch_size=1).tobytes() == model.encode(SENTENCES).tobytes()


def test_dense_modules_are_their_formula(tmp_path: Path) -> None:
    modules = [dense(WIDTH, 20), dense(20, 9, "none", bias=False, use_residual=True)]
    model = load(write_sentence_folder(tmp_path, modules=modules, normalize=True))
    params = {k: v.astype(np.float64) for k, v in model.parameters().items()}
    plain = load(write_sentence_folder(tmp_path / "plain")).encode(SENTENCES)
    first = np.tanh(
        plain @ params["backbone.dense.0.linear.weight"].T + params["backbone.dense.0.linear.bias"]
    )
    second = first @ params["backbone.dense.1.linear.weight"].T
    second += first @ params["backbone.dense.1.residual.weight"].T
    pooled = model.forward(SENTENCES)["pooled"]
    np.testing.assert_allclose(pooled, second, rtol=0, atol=1e-5)
    unit = second / np.linalg.norm(second, axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode(SENTENCES), unit, rtol=0, atol=1e-5)


def test_a_head_may_pool_in_its_own_way(tmp_path: Path) -> None:
    model = load(write_sentence_folder(tmp_path, include_prompt=False, prompts=PROMPTS))
    for mode in (*MODES, "max+cls"):
        model.add_head(mode[:3] + "x", mtf.SequenceClassification(["a", "b"], pooling=mode))
        head = model.heads[mode[:3] + "x"].spec
        other = load(tmp_path, pooling=mode)
        other.add_head("same", mtf.SequenceClassification(["a", "b"], pooling=["cls"]))
        other.add_head("head", mtf.SequenceClassification(["a", "b"]))
        for part in ("weight", "bias"):
            other.set_parameter(f"head.{part}", model.parameters()[f"{mode[:3]}x.{part}"])
        ours = model.predict_proba(mode[:3] + "x", SENTENCES)
        assert ours.tobytes() == other.predict_proba("head", SENTENCES).tobytes()
        assert isinstance(head, mtf.SequenceClassification) and head.pooling == mode
        model.remove_head(mode[:3] + "x")


def test_prompts(tmp_path: Path) -> None:
    write_sentence_folder(tmp_path, prompts=PROMPTS, default_prompt="query")
    model = load(tmp_path)
    assert (dict(model.prompts), model.default_prompt_name) == (PROMPTS, "query")
    plain, asked = model.encode(SENTENCES, prompt=""), model.encode(SENTENCES)
    assert plain.tobytes() == model.encode(SENTENCES, prompt_name="none").tobytes()
    by_hand = load(tmp_path, default_prompt_name="")
    assert by_hand.encode(SENTENCES).tobytes() == plain.tobytes()
    assert by_hand.encode([PROMPTS["query"] + t for t in SENTENCES]).tobytes() == asked.tobytes()
    assert model.forward(SENTENCES)["pooled"].tobytes() == asked.tobytes()
    other = load(tmp_path, prompts={"new": "the food "}, default_prompt_name="new")
    assert (
        other.encode(SENTENCES).tobytes() == model.encode(SENTENCES, prompt="the food ").tobytes()
    )
    assert set(other.prompts) == {"query", "none", "new"}


# ---- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", ["backbone", "backbone[:2]"])
def test_cached_training_is_plain_training(tmp_path: Path, frozen: str) -> None:
    """What a prompt's tokens are is known where features stand for them."""
    clear_memory()
    write_sentence_folder(
        tmp_path,
        pooling="max+weightedmean",
        modules=[dense(2 * WIDTH, 12)],
        include_prompt=False,
        prompts=PROMPTS,
        default_prompt="query",
    )
    found = []
    for cache in (False, "memory"):
        model = with_heads(load(tmp_path)).freeze(frozen)
        run = quick_fit(model, cache=cache)
        found.append((bits(model.parameters()), run.losses()))
        assert run.verify_frozen()
    assert found[0] == found[1]
    clear_memory()


def test_a_pooled_vector_is_filled_from_a_lower_feature(tmp_path: Path) -> None:
    clear_memory()
    write_sentence_folder(tmp_path, include_prompt=False, prompts=PROMPTS, default_prompt="query")
    model = load(tmp_path).freeze("backbone")
    encoded = model.encoder.encode_texts(SENTENCES)
    with open_cache("memory") as cache:  # type: ignore[union-attr]
        cache.fill(model, [(encoded, None, ["hidden_states.2"])])
        cache.fill(model, [(encoded, None, ["pooled"])])
        view = cache.view(encoded, "pooled", model=model)
        assert view is not None
        stored = view.gather(range(len(encoded)))
    assert stored.tobytes() == model.encode(SENTENCES).tobytes()
    clear_memory()


def test_texts_of_other_prompts_have_other_keys(tmp_path: Path) -> None:
    write_sentence_folder(tmp_path, include_prompt=False, prompts={"a": "the", "b": "the the"})
    encoder = load(tmp_path).encoder
    same_ids = [
        encoder.encode_texts(["the cat"], "the "),
        encoder.encode_texts(["cat"], "the the "),
    ]
    assert same_ids[0][0].tolist() == same_ids[1][0].tolist()
    assert len({key for one in same_ids for key in text_keys(one)}) == 2


def test_dense_is_a_unit(tmp_path: Path) -> None:
    modules = [dense(WIDTH, 20), dense(20, 9)]
    model = with_heads(load(write_sentence_folder(tmp_path, modules=modules)))
    before = bits(model.parameters())
    model.freeze("backbone").unfreeze("backbone.dense")
    quick_fit(model, two_tasks())
    after = bits(model.parameters())
    moved = {key for key in before if before[key] != after[key]}
    own = {key for key in before if key.startswith("backbone.dense.")}
    assert len(own) == 4 and moved == own | {k for k in before if k.startswith(("classif", "ner"))}
    assert model.freeze_to(2).trainable("backbone.dense") is True
    assert "backbone.dense" in repr(model.summary())


# ---- files ---------------------------------------------------------------------------------------


def test_modules_are_saved(tmp_path: Path) -> None:
    modules = [
        dense(2 * WIDTH, 20, "gelu"),
        dense(20, 9, "none", bias=False, use_residual=True),
        dense(9, 9, "silu", use_residual=True),
    ]
    folder = write_sentence_folder(
        tmp_path / "model",
        pooling="mean+cls",
        modules=modules,
        normalize=True,
        include_prompt=False,
        prompts=PROMPTS,
        default_prompt="query",
    )
    (folder / "2_Dense" / "note.txt").write_text("of the old module")
    model = with_heads(load(folder))
    saved = model.save_pretrained(tmp_path / "saved")
    folders = ("2_Dense", "3_Dense", "4_Dense")
    for path in ("1_Pooling/config.json", *(f"{one}/config.json" for one in folders)):
        theirs, ours = (json.loads((one / path).read_text()) for one in (folder, saved))
        assert ours == theirs, path
    for path in folders:
        theirs, ours = (load_file(str(one / path / "model.safetensors")) for one in (folder, saved))
        assert bits(ours) == bits(theirs)
    assert not any(key.startswith("dense") for key in load_file(str(saved / "model.safetensors")))
    again = load(saved)
    assert again.encode(SENTENCES).tobytes() == model.encode(SENTENCES).tobytes()
    assert (dict(again.prompts), again.default_prompt_name) == (PROMPTS, "query")
    assert (
        pickle.loads(pickle.dumps(model)).encode(SENTENCES).tobytes()
        == again.encode(SENTENCES).tobytes()
    )
    assert model.copy().encode(SENTENCES).tobytes() == again.encode(SENTENCES).tobytes()
    # Another model in the same place leaves nothing of the first one's modules.
    other = load(write_sentence_folder(tmp_path / "other"))
    other.save_pretrained(saved)
    assert not list(saved.glob("*_Dense")) and not list(saved.glob("*_Normalize"))
    assert load(saved).encode(SENTENCES).tobytes() == other.encode(SENTENCES).tobytes()


def test_weights_of_two_saves_are_told(tmp_path: Path) -> None:
    model = load(write_sentence_folder(tmp_path / "model", modules=[dense(WIDTH, 4)]))
    first = model.save_pretrained(tmp_path / "first")
    key = "backbone.dense.0.linear.bias"
    second = model.set_parameter(key, [1, 2, 3, 4]).save_pretrained(tmp_path / "second")
    place = "2_Dense/model.safetensors"
    (first / place).write_bytes((second / place).read_bytes())
    with pytest.raises(mtf.CheckpointError, match="expected files of one save"):
        load(first)


def test_prompts_are_saved(tmp_path: Path) -> None:
    folder = write_sentence_folder(tmp_path / "model", prompts=PROMPTS)
    path = folder / "config_sentence_transformers.json"
    more = {"similarity_fn_name": "cosine", "__version__": {"pytorch": "2.0"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    model = load(
        folder, prompts={"query": "other ", "doc": "document: "}, default_prompt_name="doc"
    )
    saved = model.save_pretrained(tmp_path / "saved")
    written = json.loads((saved / path.name).read_text())
    expected = {"query": "other ", "none": "", "doc": "document: "}
    assert written == {**more, "prompts": expected, "default_prompt_name": "doc"}


# ---- bad input -----------------------------------------------------------------------------------


def spoiled(path: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / path).read_text())
        config.update(changes)
        (folder / path).write_text(json.dumps(config))

    return edit


def modules_of(*kinds: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        listed = [
            {
                "path": "2_Dense" if kind == "Dense" else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for kind in kinds
        ]
        (folder / "modules.json").write_text(json.dumps(listed))

    return edit


def other_weights(folder: Path) -> None:
    save_file({"linear.weight": np.zeros((4, 4), "f4")}, str(folder / "2_Dense/model.safetensors"))


def pickled_weights(folder: Path) -> None:
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")


DENSE = "2_Dense/config.json"
PROMPT = "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (spoiled(DENSE, activation_function="os.system"), mtf.ConfigError, "found 'os.system'"),
        (spoiled(DENSE, activation_function="torch.nn.Softmax"), mtf.ConfigError, "torch.nn.Softm"),
        (spoiled(DENSE, activation_function=None), mtf.ConfigError, "found None"),
        (spoiled(DENSE, activation_function=["x"]), mtf.ConfigError, r"found \['x'\]"),
        (spoiled(DENSE, module_input_name="token_embeddings"), mtf.ConfigError, "token_embeddi"),
        (spoiled(DENSE, module_output_name="other"), mtf.ConfigError, "module_output_name"),
        (spoiled(DENSE, gate=True), mtf.ConfigError, "found 'gate'"),
        (spoiled(DENSE, out_features=0), mtf.CheckpointError, "'out_features' to be a width"),
        (spoiled(DENSE, out_features=10**12), mtf.CheckpointError, "'out_features' to be a width"),
        (spoiled(DENSE, out_features=21), mtf.CheckpointError, "of shape"),
        (spoiled(DENSE, in_features=47), mtf.ConfigError, "reads 47 values; found 48"),
        (spoiled(DENSE, bias="yes"), mtf.CheckpointError, "'bias' to be true or false"),
        (spoiled(DENSE, use_residual=1), mtf.CheckpointError, "'use_residual' to be true or fal"),
        (other_weights, mtf.CheckpointError, "not found: 'dense.0.linear.bias'"),
        (pickled_weights, mtf.CheckpointError, r"found a pickle.*SentenceTransformer\(folder\)"),
        (
            lambda f: (f / "2_Dense/model.safetensors").unlink(),
            mtf.CheckpointError,
            "2_Dense; found",
        ),
        (modules_of("Transformer", "Normalize", "Dense"), mtf.ConfigError, "in this order; found"),
        (modules_of("Transformer", "Dense", "Pooling"), mtf.ConfigError, "in this order; found"),
        (modules_of("Pooling", "Pooling"), mtf.ConfigError, "in this order; found"),
        (spoiled(PROMPT, prompts=["query: "]), mtf.CheckpointError, "'prompts' to map names"),
        (spoiled(PROMPT, prompts={"query": 3}), mtf.CheckpointError, "'prompts' to map names"),
        (spoiled(PROMPT, default_prompt_name="x"), mtf.CheckpointError, "one of 'query', 'none'"),
        (spoiled(PROMPT, default_prompt_name=["x"]), mtf.CheckpointError, "default_prompt_name"),
    ],
)
def test_files_that_are_refused(
    tmp_path: Path, edit: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    write_sentence_folder(tmp_path, modules=[dense(WIDTH, 20)], prompts=PROMPTS)
    edit(tmp_path)
    with pytest.raises(error, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pooling": "mean+maen"}, mtf.ConfigError, "did you mean 'mean'"),
        ({"pooling": "mean+pooler"}, mtf.ConfigError, "unknown pooling 'pooler'"),
        ({"pooling": "mean+mean"}, mtf.ConfigError, r"each pooling once; found 'mean\+mean'"),
        ({"pooling": "mean+"}, mtf.ConfigError, "unknown pooling ''"),
        ({"pooling": 3}, TypeError, "pooling must be a text"),
        ({"pooling": np.ones(3)}, TypeError, "pooling must be a text"),
        ({"prompts": ["x"]}, TypeError, "prompts must be texts by name; found"),
        ({"prompts": {"x": 3}}, TypeError, "prompt must be a text"),
        (
            {"default_prompt_name": "quary"},
            mtf.ConfigError,
            "one of 'query', 'none'; found 'quary'",
        ),
    ],
)
def test_arguments_that_are_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    write_sentence_folder(tmp_path, prompts=PROMPTS)
    with pytest.raises(error, match=message):
        load(tmp_path, **options)


def test_prompts_that_are_refused(tmp_path: Path) -> None:
    model = load(write_sentence_folder(tmp_path, prompts=PROMPTS))
    with pytest.raises(mtf.ConfigError, match="found both, 'a' and 'query'"):
        model.encode(SENTENCES, prompt="a", prompt_name="query")
    with pytest.raises(mtf.ConfigError, match=r"unknown prompt_name 'quary'.*did you mean 'query'"):
        model.encode(SENTENCES, prompt_name="quary")
    with pytest.raises(TypeError, match="prompt must be a text"):
        model.encode(SENTENCES, prompt=3)  # type: ignore[arg-type]
    with pytest.raises(mtf.ConfigError, match="for rows of words"):
        model.encode([["the", "cat"]], words=True, prompt="find ")
    with pytest.raises(mtf.ConfigError, match="this model has no prompts"):
        load(write_sentence_folder(tmp_path / "none")).encode(SENTENCES, prompt_name="query")


def test_rows_and_labels_are_many(tmp_path: Path) -> None:
    """Recommendations pool by themselves; they know every pooling and prompts that are left out."""
    write_sentence_folder(
        tmp_path,
        pooling="lasttoken+max",
        modules=[dense(2 * WIDTH, 12)],
        include_prompt=False,
        prompts=PROMPTS,
        default_prompt="query",
    )
    model = with_heads(load(tmp_path))
    rows = list(zip(SENTENCES * 8, LABELS * 8, strict=True))
    tasks = {
        "classifier": mtf.Task(train=rows, eval=rows[:20]),
    }
    model.remove_head("ner_head")
    assert mtf.recommend(model, tasks)
