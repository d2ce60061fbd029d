# SPDX-License-Identifier: Apache-2.0
"""Lines of CoNLL -> sentences of words and tags, in the forms in which such files are found.

A line is cut into columns at TABs, or where it has none at SPACEs. A line of nothing else ends a
sentence, as marks of documents do (``-DOCSTART-``, ``#begin document``, ``#end document``). Lines
that begin with ``#`` and SPACE or TAB before the first word of a sentence are comments, unless they
are cut as words of the file are and end with a tag that those have: ``#`` is a word too. Numbers of
CoNLL-U that are no words (``1-2``, ``8.1``) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain

from ..errors import DataError
from ..quoting import quoted
from .faults import OnFault, raised
from .white_space import BLANKS

__all__ = ["NO_LABEL", "Sentence", "read_sentences"]

NO_LABEL = frozenset({"-100", "-", "_", "None"})
"""How a word without a label is written."""

_DOCUMENT = ("-DOCSTART-", "#begin document", "#end document")
_COMMENT = ("# ", "#\t")
_NAME = re.compile(r"^#begin document \((.*)\)")
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")
_SHOWN = 60


@dataclass
class Sentence:
    """Words and their tags, the number of the first word's line, and whether all could be read."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    line: int = 0
    whole: bool = True


@dataclass
class _Columns:
    """Which columns hold the word and the tag, and the words that were cut so."""

    name: str
    word: int
    tag: int
    seen: set[tuple[int, str]] = field(default_factory=set)

    def cut(self, line: str, number: int) -> tuple[str, str, int] | None:
        """Return word, tag and how many columns there are; None for a line of no word."""
        fields = line.split("\t") if "\t" in line else [one for one in line.split(" ") if one]
        n, where = len(fields), f"{self.name}:{number}"
        if n < 2:
            raise DataError(
                f"{where}: expected token<TAB>tag; found one field {quoted(line, _SHOWN)}; "
                "add the tag, or an empty line if the sentence ends here"
            )
        for what, column in (("tag", self.tag), ("word", self.word)):
            if not -n <= column < n:
                raise DataError(
                    f"{where}: expected a {what} in column {column}; found {n} columns in "
                    f"{quoted(line, _SHOWN)}; count them from 0, or from -1 at the end"
                )
        if self.word % n == self.tag % n:
            raise DataError(
                f"{where}: expected word and tag in two columns; found both in column {self.tag} "
                f"of {n}; pass word_column= or column="
            )
        if self.word % n > 0 and _NO_WORD.fullmatch(fields[0]):
            return None
        word, tag = fields[self.word], fields[self.tag].strip(BLANKS)
        if not word or not tag:
            raise DataError(
                f"{where}: expected token<TAB>tag; found an empty {'tag' if word else 'token'} in "
                f"{quoted(line, _SHOWN)}; correct the line"
            )
        return word, tag, n

    def cut_as_others(self, line: str, number: int) -> tuple[str, str] | None:
        """Return word and tag of what may be a comment, if it is cut and tagged as others are."""
        try:
            found = self.cut(line, number)
        except DataError:
            return None
        return None if found is None or (found[2], found[1]) not in self.seen else found[:2]


def read_sentences(
    lines: Iterator[str], name: str, word_column: int, column: int, on_fault: OnFault = raised
) -> list[Sentence]:
    """Return the sentences of a file, with their tags as they are written.

    Parameters
    ----------
    lines : iterator of str
        Without their ends.
    name : str
        What messages call the file.
    word_column, column : int
        Which columns hold words and tags, from 0, or from -1 at the end.
    on_fault : callable
        Gets the error of each line without word or tag, whose sentence is then left out.

    Raises
    ------
    DataError
        For a line without word or tag, and where `word_column` holds no words but their numbers,
        the document's name, or the tags.
    """
    columns = _Columns(name, word_column, column)
    found: list[tuple[list[tuple[int, str]], Sentence]] = []
    documents: set[str] = set()
    comments: list[tuple[int, str]] = []
    sentence = Sentence()
    for number, line in enumerate(chain(lines, [""]), start=1):
        cut = None
        if not line.strip(BLANKS) or line.startswith(_DOCUMENT):
            documents.update(_NAME.findall(line))
        elif not sentence.words and line.startswith(_COMMENT):
            comments.append((number, line))
            continue
        else:
            try:
                cut = columns.cut(line, number)
            except DataError as fault:
                on_fault(fault)
                sentence.whole = False
            if cut is None:
                continue
        if cut is None or cut[0] == _DOCUMENT[0]:
            if sentence.words or comments or not sentence.whole:
                found.append((comments, sentence))
                comments, sentence = [], Sentence()
            continue
        word, tag, n = cut
        columns.seen.add((n, tag))
        sentence.line = sentence.line or number
        sentence.words.append(word)
        sentence.tags.append(tag)
    sentences = [_with_hash(comments, sentence, columns) for comments, sentence in found]
    sentences = [one for one in sentences if one.words and one.whole]
    if sentences:
        _check_words(sentences, name, documents, min(n for n, _ in columns.seen))
    return sentences


def _with_hash(comments: list[tuple[int, str]], sentence: Sentence, columns: _Columns) -> Sentence:
    """Put what looked like comments but is words, from the last comment on, before a sentence."""
    words: list[tuple[str, str]] = []
    for number, line in reversed(comments):
        found = columns.cut_as_others(line, number)
        if found is None:
            break
        words.append(found)
        sentence.line = number
    sentence.words[:0] = [word for word, _ in reversed(words)]
    sentence.tags[:0] = [tag for _, tag in reversed(words)]
    return sentence


def _check_words(
    sentences: list[Sentence], name: str, documents: Collection[str], n_columns: int
) -> None:
    """Raise if the column of words holds something else in the whole file."""
    words = {word for sentence in sentences for word in sentence.words}
    tags = {tag for sentence in sentences for tag in sentence.tags}
    if n_columns > 2 and len(words) > 1 and all(_counts(one.words) for one in sentences):
        found = "the numbers of the words"
    elif words <= set(documents):
        found = "the name of the document"
    elif not words <= {"O"} and _are_tags(words) and not _are_tags(tags):
        found = "tags"
    else:
        return
    raise DataError(
        f"{name}:{sentences[0].line}: expected words; found {found}, such as "
        f"{quoted(max(words), _SHOWN)}; pass word_column= with the column of the words "
        "and column= with that of the tags, counted from 0"
    )


def _counts(words: list[str]) -> bool:
    """Say whether words are numbers that count, from 0 or 1."""
    begin = int(words[0] == "1")
    return words == [str(number) for number in range(begin, begin + len(words))]


def _are_tags(names: Collection[str]) -> bool:
    """Say whether all of these can be tags of entities."""
    return all(name == "O" or (name[:2] in ("B-", "I-") and len(name) > 2) for name in names)
