# SPDX-License-Identifier: Apache-2.0
"""Packed batches, and labels and predictions on their way between words and tokens."""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze.data import IGNORE
from mtfreeze.errors import DataError
from mtfreeze.inputs.packing import Encoded, PackedBatch, pack
from mtfreeze.inputs.word_values import token_labels, word_values


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


@pytest.fixture
def encoded() -> Encoded:
    """Three sentences: two words (the second of two pieces), none, two words (the first lost)."""
    return Encoded(
        {
            "ids": ids(101, 5, 6, 7, 102, 101, 102, 101, 8, 102),
            "token_types": ids(0, 0, 0, 1, 1, 0, 0, 0, 0, 0),
        },
        np.array([0, 5, 7, 10], dtype=np.int64),
        np.array([False, False, True]),
        ids(1, 2, -1, 1),
        np.array([0, 2, 2, 4], dtype=np.int64),
    )


def test_pack() -> None:
    batch = pack([ids(1, 2), ids(), ids(3)])
    assert (
        batch.inputs["ids"].dtype,
        batch.inputs["token_types"].dtype,
        batch.offsets["tokens"].dtype,
    ) == (
        np.int32,
        np.int32,
        np.int64,
    )
    assert batch.inputs["ids"].tolist() == [1, 2, 3]
    assert batch.inputs["token_types"].tolist() == [0, 0, 0]
    assert batch.offsets["tokens"].tolist() == [0, 2, 2, 3]
    assert batch.lengths.tolist() == [2, 0, 1]
    assert (batch.n_sequences, batch.n_tokens) == (3, 3)


def test_pack_of_nothing() -> None:
    batch = pack([])
    assert (batch.n_sequences, batch.n_tokens, batch.offsets["tokens"].tolist()) == (0, 0, [0])
    assert batch.inputs["ids"].dtype == np.int32


def test_pack_with_token_types() -> None:
    assert pack([ids(1, 2)], [ids(0, 1)]).inputs["token_types"].tolist() == [0, 1]
    with pytest.raises(DataError, match="as many token types as ids"):
        pack([ids(1, 2)], [ids(0)])


def test_join_where_one_part_lacks_a_space_of_heads() -> None:
    plain = pack([ids(1, 2), ids(3)])
    picked = PackedBatch(
        {**pack([ids(4, 5, 6)]).inputs, "picked.positions": ids(2, 0)},
        {"tokens": np.array([0, 3]), "picked": np.array([0, 2])},
    )
    for parts, offsets in (
        ([plain, picked], [0, 0, 0, 2]),
        ([picked, plain], [0, 2, 2, 2]),
        ([picked, plain, picked], [0, 2, 2, 2, 4]),
    ):
        batch = PackedBatch.join(parts)
        assert batch.offsets["picked"].tolist() == offsets
        assert batch.inputs["picked.positions"].tolist() == [2, 0] * (len(parts) - 1)
        assert batch.n_tokens == len(batch.inputs["ids"]) == batch.lengths.sum()


def test_join() -> None:
    batch = PackedBatch.join([pack([ids(1, 2)]), pack([ids(3)], [ids(1)]), pack([])])
    assert batch.inputs["ids"].tolist() == [1, 2, 3]
    assert batch.inputs["token_types"].tolist() == [0, 0, 1]
    assert batch.offsets["tokens"].tolist() == [0, 2, 3]
    assert PackedBatch.join([batch]) is batch


def test_rows_of_an_encoded_data_set(encoded: Encoded) -> None:
    assert len(encoded) == 3
    assert [row.tolist() for row in encoded] == [[101, 5, 6, 7, 102], [101, 102], [101, 8, 102]]
    assert encoded[-1].tolist() == [101, 8, 102]
    assert encoded.lengths.tolist() == [5, 2, 3]
    assert (encoded.n_truncated, encoded.n_lost_words) == (1, 1)
    assert encoded.first_subwords(0).tolist() == [1, 2]
    assert encoded.first_subwords(1).tolist() == []
    with pytest.raises(IndexError):
        encoded[3]
    with pytest.raises(ValueError, match="read-only"):
        encoded[0][0] = 1


def test_pack_rows(encoded: Encoded) -> None:
    batch = encoded.pack([2, 0])
    assert batch.inputs["ids"].tolist() == [101, 8, 102, 101, 5, 6, 7, 102]
    assert batch.inputs["token_types"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert batch.offsets["tokens"].tolist() == [0, 3, 8]
    assert encoded.pack().offsets["tokens"].tolist() == [0, 5, 7, 10]
    assert encoded.pack([]).n_sequences == 0


def test_labels_sit_on_first_subwords_and_come_back(encoded: Encoded) -> None:
    tags = [ids(3, 4), ids(), ids(5, 6)]
    labels = token_labels(encoded, [2, 0, 1], tags)
    x = IGNORE
    assert labels.dtype == np.int32
    assert labels.tolist() == [x, 6, x, x, 3, 4, x, x, x, x]
    back = word_values(encoded, [2, 0, 1], np.where(labels == x, 9, labels), lost=0)
    assert [words.tolist() for words in back] == [[0, 6], [3, 4], []]


def test_unlabelled_words_stay_ignored(encoded: Encoded) -> None:
    labels = token_labels(encoded, [0], [ids(IGNORE, IGNORE)])
    assert labels.tolist() == [IGNORE] * 5


def test_counts_must_agree(encoded: Encoded) -> None:
    with pytest.raises(DataError, match="row 0: expected one tag per word; found 2 words and 1"):
        token_labels(encoded, [0], [ids(1)])
    with pytest.raises(DataError, match="expected values of 5 tokens; found 6"):
        word_values(encoded, [0], np.zeros(6, dtype=np.int64), lost=0)


def test_texts_have_no_words() -> None:
    texts = Encoded({"ids": ids(1)}, np.array([0, 1], dtype=np.int64), np.array([False]))
    assert not texts.has_words
    assert texts.n_lost_words == 0
    with pytest.raises(DataError, match="encode them with encode_words"):
        texts.first_subwords(0)


def test_features_go_with_their_sequences() -> None:
    first = pack([ids(1, 2)]).with_features({"hidden": np.ones((2, 3), np.float32)})
    second = pack([ids(3)]).with_features(
        {"hidden": np.zeros((1, 3), np.float32), "pooled": np.zeros((1, 3), np.float32)}
    )
    joined = PackedBatch.join([first, second])
    assert list(joined.features) == ["hidden"]  # only what every part has can be given
    assert joined.features["hidden"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert not pack([ids(1)]).features


def test_tokens_of(encoded: Encoded) -> None:
    index, offsets = encoded.tokens_of([2, 0, 2])
    assert encoded.inputs["ids"][index].tolist() == [101, 8, 102, 101, 5, 6, 7, 102, 101, 8, 102]
    assert offsets.tolist() == [0, 3, 8, 11]
    index, offsets = encoded.tokens_of([])
    assert (index.tolist(), offsets.tolist()) == ([], [0])
