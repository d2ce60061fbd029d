# SPDX-License-Identifier: Apache-2.0
"""One text, one answer: whichever heads are asked, however it comes, whatever stands beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import normalizers

import mtfreeze as mtf
from mtfreeze.data.white_space import words_of
from mtfreeze.model.prediction import predict_proba

CONTROLS = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u202f\u3000\u200b\ufeff"
TEXTS = [
    *(f"anna{one}smith went{one} to london" for one in CONTROLS),
    *("", " ", "\x0c", "\u3000", "the film was very good", " good\t\tfood \r\n bad film "),
]


def test_all_heads_answer_as_each_alone(two_head_model: mtf.MultiTaskModel) -> None:
    together = two_head_model.predict_all(TEXTS)
    for name in ("classifier", "ner_head"):
        assert together[name] == two_head_model.predict(name, TEXTS)


def test_words_have_the_tokens_of_their_text(two_head_model: mtf.MultiTaskModel) -> None:
    """So with BERT's tokenizer one pass serves both kinds of heads, and no text has two vectors."""
    for text in TEXTS:
        words = two_head_model.encode([words_of(text)], words=True)
        assert np.array_equal(words, two_head_model.encode([text])), ascii(text)


def test_a_text_is_cut_where_conll_is(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if words_of(text)]
    path = tmp_path / "data.conll"
    lines = ("".join(f"{word}\tO\n" for word in words_of(text)) for text in texts)
    path.write_bytes("\n".join(lines).encode())
    rows = mtf.read_conll(path)
    assert [list(row.words or ()) for row in rows] == [words_of(text) for text in texts]
    predicted = two_head_model.predict("ner_head", texts)
    assert predicted == two_head_model.predict("ner_head", [row.words for row in rows])
    right = [tag == "O" for tags in predicted for tag in tags]
    found = mtf.evaluate(two_head_model, {"ner_head": mtf.Task(train=rows, eval=rows)})
    assert found["eval_ner_head_accuracy"] == np.mean(right)


def test_texts_of_a_file_are_evaluated_as_they_are_predicted(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    texts = [text for text in TEXTS if not {"\t", "\r", "\n"} & set(text)]
    path = tmp_path / "data.tsv"
    path.write_bytes("".join(f"{text}\tpositive\n" for text in texts).encode())
    rows = mtf.read_tsv(path)
    assert [row.text for row in rows] == texts
    predicted = two_head_model.predict("classifier", texts)
    found = mtf.evaluate(two_head_model, {"classifier": mtf.Task(train=rows, eval=rows)})
    assert found["eval_classifier_accuracy"] == predicted.count("positive") / len(texts)


def test_where_words_have_other_tokens_than_their_text(two_head_model: mtf.MultiTaskModel) -> None:
    """A tokenizer that counts spaces: such texts are computed for each kind of head apart."""
    tokenizer = two_head_model.encoder._tokenizer
    replace = normalizers.Replace("  ", " ! ")
    tokenizer.normalizer = normalizers.Sequence([replace, tokenizer.normalizer])
    texts = ["the film", "the  film", "great  food and   bad service", "", "  "]
    assert not np.array_equal(
        two_head_model.encode(texts[1:2]),
        two_head_model.encode([texts[1].split()], words=True),
    )
    together = two_head_model.predict_all(iter(texts))
    for name in ("classifier", "ner_head"):
        assert together[name] == two_head_model.predict(name, texts)
    forwards = two_head_model.predict_all(texts, ["ner_head", "classifier"])
    assert list(forwards) == ["ner_head", "classifier"]
    shares = predict_proba(two_head_model, ["classifier", "ner_head"], texts)
    alone = two_head_model.predict_proba("classifier", texts)
    assert np.array_equal(shares["classifier"], alone)
    for mine, one in zip(
        shares["ner_head"], two_head_model.predict_proba("ner_head", texts), strict=True
    ):
        assert np.array_equal(mine, one)


@pytest.mark.parametrize("texts", [[], iter([])])
def test_no_texts(two_head_model: mtf.MultiTaskModel, texts: list[str]) -> None:
    assert two_head_model.predict_all(texts) == {"classifier": [], "ner_head": []}


def test_a_text_without_a_list_has_an_answer_without_one(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model
    for text in TEXTS:
        assert np.array_equal(model.encode(text), model.encode([text])[0])
        for head in ("classifier", "ner_head"):
            assert model.predict(head, text) == model.predict(head, [text])[0]
            alone, listed = model.predict_proba(head, text), model.predict_proba(head, [text])
            assert np.array_equal(alone, listed[0])
        each = {name: found[0] for name, found in model.predict_all([text]).items()}
        assert model.predict_all(text) == each
    assert model.encode("good").shape == (model.width,)
    assert model.predict("classifier", "good") in ("negative", "positive")


def test_a_number_without_a_list(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.add_head("score", mtf.Regression())
    assert two_head_model.predict("score", "good") == two_head_model.predict("score", ["good"])[0]


def test_only_a_text_stands_without_a_list(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    with pytest.raises(TypeError, match="pair of texts"):
        model.encode([["anna", "smith"]])
    with pytest.raises(TypeError, match="sentence 0"):
        model.encode("anna smith", words=True)
    for other in (b"good", 3, None):
        with pytest.raises(TypeError):
            model.encode(other)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            model.predict("classifier", other)  # type: ignore[call-overload]
