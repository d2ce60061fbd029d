# SPDX-License-Identifier: Apache-2.0
"""`mtfreeze.spacy`: what a component writes into documents, training, files, and refusals."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.bits import bits
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

spacy = pytest.importorskip("spacy", reason="the component needs spaCy (extra spacy)")

import srsly  # noqa: E402
from spacy.tokens import Doc, Span  # noqa: E402
from spacy.training import Example  # noqa: E402

from mtfreeze.metrics.entities import entity_spans  # noqa: E402
from mtfreeze.spacy import HeadComponent  # noqa: E402
from mtfreeze.spacy.gold import rows_of  # noqa: E402


@pytest.fixture
def folder(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return a saved model with a head of texts, one of words and one of several labels."""
    two_head_model.add_head("topics", mtf.MultiLabelClassification(["food", "sound", "price"]))
    two_head_model.mark_trained(["classifier", "ner_head", "topics"])
    return two_head_model.save_pretrained(tmp_path / "model")


def pipeline(folder: Path, **config: Any) -> Any:
    nlp = spacy.blank("en")
    nlp.add_pipe("mtfreeze", config={"model": str(folder), **config})
    return nlp


@pytest.mark.parametrize("head", ["classifier", "topics"])
def test_categories_are_probabilities(folder: Path, head: str) -> None:
    nlp = pipeline(folder, head=head)
    docs = list(nlp.pipe([*SENTENCES, ""], batch_size=3))
    model = mtf.MultiTaskModel.from_pretrained(folder)
    expected = model.predict_proba(head, [*SENTENCES, ""])
    assert [list(doc.cats) for doc in docs] == [list(model.heads[head].labels)] * len(docs)
    np.testing.assert_array_equal([list(doc.cats.values()) for doc in docs], expected)
    assert nlp(SENTENCES[0]).cats == docs[0].cats and not docs[0].has_annotation("ENT_IOB")
    assert nlp.get_pipe("mtfreeze").labels == model.heads[head].labels


def test_entities_are_those_of_the_tags(folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder)
    bias = np.zeros(len(TAGS))
    bias[TAGS.index("B-person")] = 9  # every word begins an entity
    model.set_parameter("ner_head.bias", bias)
    model.save_pretrained(folder)
    doc = pipeline(folder, head="ner_head")("Anna  went\nhome ")
    words = [token.text for token in doc]
    (tags,) = model.predict("ner_head", [words], words=True)
    assert [(one.text, one.label_) for one in doc.ents] == [
        (word, "person") for word, tag in zip(words, tags, strict=True) if tag == "B-person"
    ]
    assert {"Anna", "went", "home"} <= {one.text for one in doc.ents}
    assert doc.has_annotation("ENT_IOB") and not doc.cats
    assert not pipeline(folder, head="ner_head")("").ents


def test_vectors_of_tokens(folder: Path) -> None:
    doc = pipeline(folder, head="classifier", tensor=True)("the food was great")
    words = [token.text for token in doc]
    found = mtf.MultiTaskModel.from_pretrained(folder).forward([words], ["hidden"], words=True)
    assert doc.tensor.shape == (4, 48) and doc.tensor.dtype == np.float32
    hidden = found["hidden"]
    assert all(any(np.array_equal(row, one) for one in hidden) for row in doc.tensor)
    assert np.array_equal(doc.tensor[0], hidden[1]) and np.array_equal(doc[0].vector, doc.tensor[0])
    bare = mtf.MultiTaskModel.from_pretrained(folder)
    for name in list(bare.heads):
        bare.remove_head(name)
    bare.save_pretrained(folder)
    assert np.array_equal(pipeline(folder, tensor=True)(doc.text).tensor, doc.tensor)
    assert pipeline(folder, tensor=True)("").tensor.shape == (0, 48)


def examples_of(nlp: Any, kind: str) -> list[Any]:
    """Return examples with categories, or with entities."""
    made = []
    for words, tags in TAGGED if kind == "ner" else ():
        doc = Doc(nlp.vocab, words=words)
        doc.set_ents([Span(doc, *place, label=one) for one, *place in entity_spans(tags)])
        made.append(Example(Doc(nlp.vocab, words=words), doc))
    for text, label in zip(SENTENCES, LABELS, strict=True) if kind != "ner" else ():
        cats = {one: float(one == label) for one in ("negative", "positive")}
        made.append(Example.from_dict(nlp.make_doc(text), {"cats": cats}))
    return made


@pytest.mark.parametrize("kind", ["textcat", "textcat_multilabel", "ner"])
def test_it_learns_and_is_kept(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    nlp = pipeline(tiny_folder, task=kind, learning_rate=0.01, freeze="backbone[:2]")
    examples = examples_of(nlp, kind)
    nlp.initialize(lambda: examples)
    pipe = nlp.get_pipe("mtfreeze")
    frozen = pipe.model.freeze_state().frozen
    before = {key: one for key, one in bits(pipe.model.parameters()).items() if key in frozen}
    first = nlp.update(examples)["mtfreeze"]
    for _ in range(30):
        last = nlp.update(examples)["mtfreeze"]
    assert last < 0.5 * first
    after = bits(pipe.model.parameters())
    assert before and before == {key: after[key] for key in frozen}
    scores = nlp.evaluate(examples)
    assert scores["ents_f" if kind == "ner" else "cats_score"] > 0.8, scores
    nlp.to_disk(tmp_path / "kept")
    told = [one.to_json() for one in nlp.pipe(SENTENCES)]
    for again in (spacy.load(tmp_path / "kept"), spacy.blank("en")):
        if "mtfreeze" not in again.pipe_names:
            again.add_pipe("mtfreeze")
            again.from_bytes(nlp.to_bytes())
        assert [one.to_json() for one in again.pipe(SENTENCES)] == told
        model = again.get_pipe("mtfreeze").model
        assert model.freeze_state().frozen == frozen
        assert bits(model.parameters()) == bits(pipe.model.parameters())


def test_what_carries_no_label_is_not_learned(folder: Path) -> None:
    nlp = pipeline(folder, head="classifier")
    pipe = nlp.get_pipe("mtfreeze")
    before = bits(pipe.model.parameters())
    blank = [
        Example.from_dict(nlp.make_doc("good"), {}),
        Example.from_dict(nlp.make_doc("good"), {"cats": {"negative": 0.2, "positive": 0.3}}),
    ]
    assert nlp.update(blank) == {"mtfreeze": 0.0}
    assert bits(pipe.model.parameters()) == before
    tagger = pipeline(folder, head="ner_head")
    assert tagger.update(blank[:1]) == {"mtfreeze": 0.0}
    # Tokens that the gold cuts otherwise are no target, the others are.
    gold = Doc(nlp.vocab, words=["An", "na", "left"])
    gold.set_ents([Span(gold, 0, 1, label="person")])
    example = Example(Doc(nlp.vocab, words=["Anna", "left"]), gold)
    assert rows_of([example], tagger.get_pipe("mtfreeze")._spec) == [
        (["Anna", "left"], [None, "O"])
    ]
    assert tagger.update([example])["mtfreeze"] > 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "needs a head; found 'classifier', 'ner_head', 'topics'; name one with head="),
        ({"head": "clasifier"}, "did you mean 'classifier'"),
        ({"head": "near"}, "reads heads of texts or of words; found 'near', a similarity head"),
    ],
)
def test_heads_that_it_cannot_take(folder: Path, config: dict[str, Any], message: str) -> None:
    if config.get("head") == "near":
        model = mtf.MultiTaskModel.from_pretrained(folder).add_head("near", mtf.Similarity())
        model.save_pretrained(folder)
    with pytest.raises(mtf.ConfigError, match=message):
        pipeline(folder, **config)("text")


def test_other_refusals(tiny_folder: Path) -> None:
    with pytest.raises(mtf.ConfigError, match="found a model without heads; name one"):
        pipeline(tiny_folder).initialize()
    with pytest.raises(mtf.ConfigError, match="did you mean 'textcat'"):
        pipeline(tiny_folder, task="texcat")
    nlp = pipeline(tiny_folder, task="ner")
    with pytest.raises(mtf.DataError, match="needs examples with labels for 'ner'; found none"):
        nlp.initialize(lambda: examples_of(nlp, "textcat"))
    with pytest.raises(mtf.CheckpointError, match="inside"):
        HeadComponent("x", "m", None, None, None, 0.1, False).from_bytes(
            srsly.msgpack_dumps({"../evil": b""})
        )


def test_pipelines_are_copied_and_sent_to_processes(folder: Path) -> None:
    nlp = pipeline(folder, head="classifier")
    told = [doc.cats for doc in nlp.pipe(SENTENCES)]
    assert [doc.cats for doc in pickle.loads(pickle.dumps(nlp)).pipe(SENTENCES)] == told
    other = spacy.blank("en")
    other.add_pipe("mtfreeze", source=nlp, name="mood")
    assert [doc.cats for doc in other.pipe(SENTENCES)] == told
    assert [doc.cats for doc in nlp.pipe(SENTENCES, n_process=2, batch_size=3)] == told


def test_tags_that_are_no_entities(tiny_folder: Path, tmp_path: Path) -> None:
    """A head whose labels are no IOB2 marks tells parts of speech: they are tokens' tags."""
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    model.add_head("pos", mtf.TokenClassification(["NOUN", "VERB", "DET"]))
    nlp = pipeline(model.save_pretrained(tmp_path / "model"), head="pos", learning_rate=0.02)
    words, tags = ["the", "food", "was", "good"], ["DET", "NOUN", "VERB", ""]
    gold = Doc(nlp.vocab, words=words, tags=tags)
    examples = [Example(Doc(nlp.vocab, words=words), gold)] * 4
    nlp.initialize(lambda: examples)  # the head is there: nothing is made, nothing is lost
    pipe = nlp.get_pipe("mtfreeze")
    assert list(pipe.model.heads) == ["pos"]
    assert rows_of(examples[:1], pipe._spec) == [(words, ["DET", "NOUN", "VERB", None])]
    losses = [nlp.update(examples)["mtfreeze"] for _ in range(25)]
    assert losses[-1] < 0.2 * losses[0]
    doc = nlp(Doc(nlp.vocab, words=words))
    assert [token.tag_ for token in doc][:3] == tags[:3] and not doc.ents and not doc.cats
    assert nlp.evaluate(examples)["tag_acc"] == 1.0
