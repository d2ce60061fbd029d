"""Make the small committed data set of the demo, `examples/data`, from the full data sets.

Reads `shared/data` beside the checkout (Sentiment Labelled Sentences and WNUT 2017, both CC BY 4.0)
and writes them there. The choice depends on nothing but the sentences: within a stratum they are
ordered by a digest of their text, so the same input gives the same files on every machine.

    python tools/make_examples.py [--source FOLDER] [--check]

`--check` compares the committed files with what would be written and changes nothing.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data"
TARGET = ROOT / "examples" / "data"

DOMAINS = ("amazon_cells", "imdb", "yelp")
REVIEWS_TRAIN = 200  # sentences of one domain and label: 1,200 in all
REVIEWS_EVAL = 85  # likewise: 510 in all
REVIEW_WORDS = 32  # longer "sentences" are mostly whole reviews that lost their line ends
WNUT_TRAIN = 600  # sentences with at least one entity
WNUT_EVAL_ENTITIES = 390
WNUT_EVAL_PLAIN = 120  # sentences without one, so that false alarms count
WNUT_TOKENS = 32

Sentence = list[tuple[str, str]]


def order(text: str) -> bytes:
    """Sort key that mixes the sentences of a file: a digest of the text and nothing else."""
    return blake2b(text.encode("utf-8"), digest_size=16).digest()


def read_reviews(path: Path) -> list[tuple[str, str]]:
    """Return (sentence, label) of one domain, without repeated sentences.

    The label is the last TAB field, because a few sentences hold a TAB themselves; lines are split
    at line feeds only, because some sentences hold the control character U+0085.
    """
    rows: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            text, label = line.rsplit("\t", 1)
            rows.setdefault(" ".join(text.split()), label.strip())
    return list(rows.items())


def read_conll(path: Path) -> list[Sentence]:
    """Return the sentences of a CoNLL file; a line of white space ends a sentence."""
    sentences: list[Sentence] = [[]]
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            sentences.append([])
        else:
            token, tag = line.split("\t")
            sentences[-1].append((token, tag))
    return [sentence for sentence in sentences if sentence]


def pick_reviews(source: Path) -> dict[str, str]:
    """Return the text of the files of reviews by name, stratified by domain and label."""
    train: list[tuple[str, str]] = []
    evaluation: list[tuple[str, str]] = []
    files: dict[str, str] = {}
    seen: set[str] = set()
    for domain in DOMAINS:
        rows = read_reviews(source / "reviews" / f"{domain}_labelled.txt")
        parts: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
        for label in ("0", "1"):
            texts = sorted(
                (t for t, y in rows if y == label and len(t.split()) <= REVIEW_WORDS), key=order
            )
            texts = [t for t in texts if t.lower() not in seen]
            seen.update(t.lower() for t in texts)
            parts[0].extend((t, label) for t in texts[:REVIEWS_TRAIN])
            parts[1].extend((t, label) for t in texts[REVIEWS_TRAIN:][:REVIEWS_EVAL])
        name = domain.partition("_")[0]
        files[f"domains/{name}_train.tsv"] = as_tsv(parts[0])
        files[f"domains/{name}_eval.tsv"] = as_tsv(parts[1])
        train += parts[0]
        evaluation += parts[1]
    return {"reviews_train.tsv": as_tsv(train), "reviews_eval.tsv": as_tsv(evaluation), **files}


def as_tsv(rows: list[tuple[str, str]]) -> str:
    """Return rows of (sentence, label) as the text of a file, mixed."""
    return "".join(f"{t}\t{y}\n" for t, y in sorted(rows, key=lambda row: order(row[0])))


def pick_wnut(source: Path) -> tuple[str, str]:
    """Return the text of the training and the evaluation file, in CoNLL form.

    Both are held-out parts of the full training file: its dev and test files are deliberately made
    of other sources and rarer entities, which some hundred sentences cannot teach.
    """

    def words(sentence: Sentence) -> str:
        return " ".join(token for token, _ in sentence)

    def choose(entities: bool) -> list[Sentence]:
        rows: dict[str, Sentence] = {}
        for sentence in read_conll(source / "wnut17" / "train.conll"):
            has_entity = any(tag != "O" for _, tag in sentence)
            if has_entity == entities and 4 <= len(sentence) <= WNUT_TOKENS:
                rows.setdefault(words(sentence), sentence)
        return [rows[key] for key in sorted(rows, key=order)]

    with_entities = choose(True)
    train = with_entities[:WNUT_TRAIN]
    evaluation = with_entities[WNUT_TRAIN:][:WNUT_EVAL_ENTITIES]
    evaluation += choose(False)[:WNUT_EVAL_PLAIN]
    # By another digest, since the one that chose them would put all plain sentences first.
    evaluation.sort(key=lambda sentence: order(f"mixed: {words(sentence)}"))
    return tuple(  # type: ignore[return-value]
        "\n".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) for sentence in rows)
        for rows in (train, evaluation)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the full data sets")
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(argv)
    if not options.source.is_dir():
        print(
            f"{options.source}: no such folder; expected the full data sets with reviews/ and"
            " wnut17/ in it; name them with --source",
            file=sys.stderr,
        )
        return 2

    wnut_train, wnut_eval = pick_wnut(options.source)
    files = {
        **pick_reviews(options.source),
        "wnut_train.conll": wnut_train,
        "wnut_eval.conll": wnut_eval,
    }
    differing = []
    for name, text in files.items():
        path = TARGET / name
        data = text.encode("utf-8")
        if options.check:
            if not path.is_file() or path.read_bytes() != data:
                differing.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"{path.relative_to(ROOT)}: {len(data):,} bytes")
    if differing:
        print(f"differ from what the full data give: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
