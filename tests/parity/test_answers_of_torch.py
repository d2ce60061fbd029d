# SPDX-License-Identifier: Apache-2.0
"""Question answering beside transformers: windows, loss, gradients, answers, task models."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.examples import Examples
from mtfreeze.families import FAMILIES
from mtfreeze.heads.answer_spans import BEGINS, ENDS
from mtfreeze.inputs.text import TextEncoder
from mtfreeze.inputs.windows import OUTSIDE, Windows
from support.families import NAMES, load_family, write_family
from support.texts import WORDS
from support.tiny_bert import tiny_config, write_tokenizer

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

LENGTH, STRIDE = 24, 7
ANSWERING = [name for name in NAMES if "ForQuestionAnswering" in FAMILIES[name].head_layouts]


def questions(n: int, seed: int = 0) -> Examples:
    """Return questions about contexts of 1 to 60 words; every fourth has no answer."""
    rng = random.Random(seed)
    rows: list[Any] = []
    for i in range(n):
        words = rng.choices(WORDS, k=rng.randint(1, 60))
        begin = rng.randrange(len(words))
        answer = " ".join(words[begin : begin + rng.randint(1, 4)])
        start = len(" ".join([*words[:begin], ""]))
        question = " ".join(rng.choices(WORDS, k=rng.randint(1, 5))) + "?"
        rows.append((question, " ".join(words), [(answer, start)] if i % 4 else ()))
    return Examples.from_rows(rows, "questions")


def texts_of(rows: Examples) -> tuple[list[str], list[str]]:
    pairs = [row.texts for row in rows if row.texts]
    return [question for question, _ in pairs], [context for _, context in pairs]


def their_windows(tokenizer: Any, rows: Examples) -> Any:
    return tokenizer(
        *texts_of(rows),
        truncation="only_second",
        max_length=LENGTH,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def their_span(offsets: list[Any], parts: list[Any], answers: Any) -> tuple[int, int]:
    """Find first and last token as transformers' examples do: 0 and 0 without the whole answer."""
    if not answers:
        return 0, 0
    text, begin = answers[0]
    first, last = parts.index(1), len(parts) - 1 - parts[::-1].index(1)
    if not (offsets[first][0] <= begin and offsets[last][1] >= begin + len(text)):
        return 0, 0
    end_of_context = last + 1  # what stands behind it has the offsets (0, 0)
    while first < end_of_context and offsets[first][0] <= begin:
        first += 1
    while offsets[last][1] >= begin + len(text):
        last -= 1
    return first - 1, last + 1


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_those_of_the_tokenizer(name: str, tmp_path: Path, transformers: Any) -> None:
    folder = write_family(tmp_path, name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = TextEncoder.from_folder(folder, max_length=64, needs_special=False)
    rows = questions(60)
    ours = Windows(LENGTH, STRIDE).encode(encoder, rows)
    theirs = their_windows(tokenizer, rows)
    assert len(ours) == len(theirs["input_ids"]) > len(rows)
    owner = np.repeat(np.arange(len(rows)), np.diff(ours.row_offsets))  # type: ignore[arg-type]
    assert owner.tolist() == theirs["overflow_to_sample_mapping"]
    marks = mtf.QuestionAnswering().targets(rows, "", "qa").for_rows(ours, np.arange(len(rows)))
    n_equal = 0
    for i, ids in enumerate(ours):
        assert ids.tolist() == theirs["input_ids"][i]
        tokens = slice(ours.offsets[i], ours.offsets[i + 1])
        parts, offsets = theirs.sequence_ids(i), theirs["offset_mapping"][i]
        wanted = [
            o if part == 1 else (OUTSIDE, OUTSIDE) for o, part in zip(offsets, parts, strict=True)
        ]
        context = ours.contexts[int(owner[i])]
        own = [tuple(one) for one in ours.characters[tokens].tolist()]
        assert [trimmed(context, *one) for one in own] == [trimmed(context, *o) for o in wanted]
        first, last = (int(np.flatnonzero(marks[tokens] & mark)[0]) for mark in (BEGINS, ENDS))
        their_first, their_last = their_span(offsets, parts, rows[int(owner[i])].label)
        # Where several tokens stand for one character theirs may begin behind its end.
        assert trimmed(context, *own[first])[0] == trimmed(context, *own[their_first])[0]
        assert own[last][1] == own[their_last][1]
        assert first <= their_first and last >= their_last
        n_equal += (first, last) == (their_first, their_last)
    assert n_equal >= 0.8 * len(ours)


def trimmed(context: str, begin: int, end: int) -> tuple[int, int]:
    """Return a token's characters without the space before it, which some tokenizers count."""
    blank = len(context[begin:end]) - len(context[begin:end].lstrip())
    return (begin, end) if begin == OUTSIDE else (begin + blank, end)


def their_answer(context: str, windows: list[Any], threshold: float | None) -> tuple[str, float]:
    """Choose as transformers' examples do: 20 best of 20 x 20, at most 30 tokens."""
    candidates: list[tuple[float, Any]] = []
    null = min(float(start[0]) + float(end[0]) for start, end, _ in windows)
    for start, end, offsets in windows:
        for s in np.argsort(start)[-1:-21:-1].tolist():
            for e in np.argsort(end)[-1:-21:-1].tolist():
                if offsets[s] is None or offsets[e] is None or e < s or e - s + 1 > 30:
                    continue
                score = float(start[s]) + float(end[e])
                candidates.append((score, (offsets[s][0], offsets[e][1])))
    if threshold is not None:
        candidates.append((null, (0, 0)))
    best = sorted(candidates, key=lambda one: one[0], reverse=True)[:20]
    if threshold is not None and all(span != (0, 0) for _, span in best):
        best.append((null, (0, 0)))
    shares = np.exp(np.array([score for score, _ in best]) - best[0][0])
    shares /= shares.sum()
    texts = [context[begin:end] for _, (begin, end) in best]
    at = next(i for i, text in enumerate(texts) if text)
    if threshold is not None and null - best[at][0] > threshold:
        at = texts.index("")
    return texts[at], float(shares[at])


def network_of(folder: Path) -> Any:
    """Save a seeded BertForQuestionAnswering and return it."""
    import torch
    import transformers

    torch.manual_seed(5)
    known = {**tiny_config(initializer_range=0.3), "num_labels": 2}
    known.pop("architectures", None)
    network = transformers.BertForQuestionAnswering(transformers.BertConfig(**known)).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    write_tokenizer(folder, own_padding=False)
    return network


@pytest.mark.parametrize("threshold", [0.0, None, -3.0])
def test_answers_are_those_of_transformers(
    threshold: float | None, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    network = network_of(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    spec = mtf.QuestionAnswering(max_length=LENGTH, stride=STRIDE, no_answer_threshold=threshold)
    model.add_head("qa", spec, from_pretrained=tmp_path)
    rows = questions(40, seed=1)
    asked, contexts = texts_of(rows)
    found = model.predict("qa", list(zip(asked, contexts, strict=True)))
    encoded = their_windows(tokenizer, rows)
    windows: list[list[Any]] = [[] for _ in rows]
    for i, (ids, row) in enumerate(
        zip(encoded["input_ids"], encoded["overflow_to_sample_mapping"], strict=True)
    ):
        types = torch.tensor([encoded["token_type_ids"][i]])
        with torch.no_grad():
            out = network(input_ids=torch.tensor([ids]), token_type_ids=types)
        offsets = [
            one if part == 1 else None
            for one, part in zip(encoded["offset_mapping"][i], encoded.sequence_ids(i), strict=True)
        ]
        windows[row].append((out.start_logits[0].numpy(), out.end_logits[0].numpy(), offsets))
    empty = 0
    for context, parts, one in zip(contexts, windows, found, strict=True):
        text, share = their_answer(context, parts, threshold)
        assert one["answer"] == text == context[one["start"] : one["end"]]
        assert one["score"] == pytest.approx(share, abs=1e-4)
        empty += not text
    assert bool(empty) == (threshold == -3.0)


def test_loss_and_gradients_are_those_of_transformers(tmp_path: Path, torch: Any) -> None:
    network = network_of(tmp_path).double()
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    model.add_head("qa", mtf.QuestionAnswering(max_length=LENGTH, stride=STRIDE),
                   from_pretrained=tmp_path)  # fmt: skip
    rows = questions(9, seed=2)
    encoded = Windows(LENGTH, STRIDE).encode(model.encoder, rows)
    marks = model.heads["qa"].spec.targets(rows, "", "qa").for_rows(encoded, np.arange(9))
    total = torch.zeros((), dtype=torch.float64)
    for i, ids in enumerate(encoded):
        tokens = slice(encoded.offsets[i], encoded.offsets[i + 1])
        begin, end = (int(np.flatnonzero(marks[tokens] & mark)[0]) for mark in (BEGINS, ENDS))
        total = (
            total
            + network(
                input_ids=torch.tensor(np.array(ids)[None].astype(int)),
                token_type_ids=torch.tensor(
                    encoded.inputs["token_types"][tokens][None].astype(int)
                ),
                start_positions=torch.tensor([begin]),
                end_positions=torch.tensor([end]),
            ).loss
        )
    (total / len(encoded)).backward()
    metrics = mtf.evaluate(model, {"qa": mtf.Task(eval=rows)})
    assert metrics["eval_qa_loss"] == pytest.approx(total.item() / len(encoded), rel=1e-6)
    gradients = model.gradients({"qa": rows})
    theirs = {name: one.grad for name, one in network.named_parameters() if one.grad is not None}
    for key, ours in gradients.items():
        name = key.replace("backbone.", "bert.").replace("qa.", "qa_outputs.")
        wanted = theirs[name].numpy()
        scale = max(1e-2, float(np.abs(wanted).max()))
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=2e-5 * scale, err_msg=key)
    assert "qa.weight" in gradients and "backbone.embeddings.LayerNorm.weight" in gradients


@pytest.mark.parametrize("name", ANSWERING)
def test_task_models_are_written_and_read(
    name: str, tmp_path: Path, torch: Any, transformers: Any
) -> None:
    model = load_family(write_family(tmp_path / "in", name), heads=False)
    layout = model.index.family.head_layouts["ForQuestionAnswering"]
    options: dict[str, Any] = {key: value for key, (_, value) in layout.options.items()}
    if layout.hidden:
        options |= {"hidden": (model.width,), "activation": layout.activation, **options}
    model.add_head("qa", mtf.QuestionAnswering(max_length=LENGTH, stride=STRIDE, **options))
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("qa."):
            model.set_parameter(key, values + 0.2 * rng.standard_normal(values.shape))
    saved = model.save_pretrained(tmp_path / "task", head="qa")
    network, info = transformers.AutoModelForQuestionAnswering.from_pretrained(
        saved, output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    assert type(network).__name__ == FAMILIES[name].class_stem + "ForQuestionAnswering"
    pairs = [row.texts for row in questions(4) if row.texts]
    ours = model.forward(pairs, ["qa"])["qa"]
    encoded = Windows(LENGTH, STRIDE).encode(model.encoder, questions(4))
    begin = 0
    for i, ids in enumerate(encoded):
        inputs = {"input_ids": torch.tensor(np.array(ids)[None].astype(int))}
        if "token_types" in encoded.inputs:
            types = encoded.inputs["token_types"][encoded.offsets[i] : encoded.offsets[i + 1]]
            inputs["token_type_ids"] = torch.tensor(types[None].astype(int))
        with torch.no_grad():
            out = network.eval()(**inputs)
        theirs = np.stack([out.start_logits[0].numpy(), out.end_logits[0].numpy()], axis=1)
        own = ours[begin : begin + len(ids)]
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-5)
        begin += len(ids)
    again = load_family(saved, heads=False)
    again.add_head(
        "qa", mtf.QuestionAnswering(max_length=LENGTH, stride=STRIDE, **options),
        from_pretrained=saved,
    )  # fmt: skip
    assert again.forward(pairs, ["qa"])["qa"].tobytes() == ours.tobytes()
