"""Make `examples/xquad`: short paragraphs of XQuAD English with their questions, in two files.

Articles are dealt in turn to training and evaluation, so that nothing that is asked about was
learned from; of each article the shortest paragraphs are kept. XQuAD is CC BY-SA 4.0, and so are
these files: they lie in a folder of their own. The same input gives the same files everywhere.

    python tools/make_questions.py [--source FILE] [--check]

`--check` compares the committed files with what would be written and changes nothing.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "xquad" / "xquad.en.json"
TARGET = ROOT / "examples" / "xquad"
PARAGRAPHS = {"train": 3, "eval": 2}  # of an article


def pick(articles: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Return articles with their n shortest paragraphs, in the order that they have there."""
    found = []
    for article in articles:
        kept = sorted(article["paragraphs"], key=lambda one: len(one["context"]))[:n]
        paragraphs = [one for one in article["paragraphs"] if one in kept]
        found.append({"title": article["title"], "paragraphs": paragraphs})
    return found


def make_files(source: Path) -> dict[str, str]:
    """Return the text of the files by name."""
    whole = json.loads(source.read_text(encoding="utf-8"))
    files = {}
    for first, (part, n) in enumerate(PARAGRAPHS.items()):
        chosen = {"version": whole["version"], "data": pick(whole["data"][first::2], n)}
        files[f"{part}.json"] = json.dumps(chosen, ensure_ascii=False, indent=1) + "\n"
    return files


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=SOURCE, help="XQuAD's file of English")
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(argv)
    if not options.source.is_file():
        print(f"{options.source}: no such file; name xquad.en.json with --source", file=sys.stderr)
        return 2
    differing = []
    for name, text in make_files(options.source).items():
        path = TARGET / name
        data = text.encode("utf-8")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"{path.relative_to(ROOT)}: {len(data):,} bytes")
        elif not path.is_file() or path.read_bytes() != data:
            differing.append(name)
    if differing:
        print(f"differ from what XQuAD gives: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
