# SPDX-License-Identifier: Apache-2.0
"""Readers of the data files that know nothing of mtfreeze, for what it is compared with."""

from __future__ import annotations

from pathlib import Path


def read_tsv(path: Path, label_map: dict[str, str]) -> list[tuple[str, str]]:
    """Return (text, label) rows; the label is the last TAB field."""
    rows = [line.rsplit("\t", 1) for line in path.read_text("utf-8").split("\n") if line]
    return [(text, label_map[label]) for text, label in rows]


def read_conll(path: Path) -> list[tuple[list[str], list[str]]]:
    """Return (words, tags) rows; a line of white space ends a sentence."""
    rows: list[tuple[list[str], list[str]]] = [([], [])]
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            word, tag = line.split("\t")
            rows[-1][0].append(word)
            rows[-1][1].append(tag)
        elif rows[-1][0]:
            rows.append(([], []))
    return [row for row in rows if row[0]]
