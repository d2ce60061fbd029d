# SPDX-License-Identifier: Apache-2.0
"""What mkdocs does not do by itself: pages of the site for files that lie outside of ``docs/``.

The pages in ``docs/`` link to the repository's other files as they do for a reader of the sources,
``../ARCHITECTURE.md`` or ``../benchmarks/bench_freeze.py``. This hook of mkdocs.yml makes a page of
every file that is linked to so, or named in ``nav``: Markdown as it stands, a notebook with its
outputs, a folder as a list, anything else as code. So the site needs no copies of them, no links
into the web, and a link to a file that is not there is an error of ``make docs``.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$|`[^`\n]+`", re.M | re.S)
_LINK = re.compile(r"(!?\[(?:[^\]\n]|\n(?!\n))*\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
_CODE = {".py": "python", ".sh": "bash", ".c": "c", ".h": "c", ".yaml": "yaml", ".toml": "toml"}


def outside_code(markdown: str) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of what is neither fenced nor inline code."""
    start = 0
    for code in _FENCE.finditer(markdown):
        yield start, code.start()
        start = code.end()
    yield start, len(markdown)


def links(markdown: str) -> list[str]:
    """Return the targets of all links and pictures of a page, those in code left out."""
    parts = (markdown[start:end] for start, end in outside_code(markdown))
    return [found[2] for part in parts for found in _LINK.finditer(part)]


def is_local(target: str) -> bool:
    """Whether a link leads to a file, not into the web or to a place on the same page."""
    return not re.match(r"[a-z][a-z+.-]*:|#|//", target)


def repository_path(target: str, page: str) -> str:
    """Return what a link of a page means; both are paths from the repository's root."""
    path = target.partition("#")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path))


def site_path(path: str) -> str:
    """Return where the page of a file of the repository lies in the site's sources."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{path}/index.md"
    return path if path.endswith(".md") else f"{path}.md"


def with_site_links(markdown: str, page: str) -> str:
    """Let the links of a page lead to pages of the site.

    Parameters
    ----------
    markdown : str
        Of the page.
    page : str
        Its path from the repository's root, from which its links count.
    """

    def changed(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        if not is_local(target):
            return found[0]
        path, place = repository_path(target, page), target.partition("#")[1:]
        if not (ROOT / path).exists():
            return found[0]  # mkdocs says that it is missing, and where
        here = posixpath.dirname(site_path(page))
        return before + posixpath.relpath(site_path(path), here or ".") + "".join(place) + after

    parts, end = [], 0
    for start, stop in outside_code(markdown):
        parts += [markdown[end:start], _LINK.sub(changed, markdown[start:stop])]
        end = stop
    return "".join([*parts, markdown[end:]])


def fenced(text: str, language: str = "") -> str:
    """Return text as a code block, with a fence that it does not hold itself."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _output(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """Return an output of a notebook's cell as Markdown; its picture goes to `pictures`."""
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}_{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![what the cell above draws]({file})\n"
    if "text/html" in data:
        return "\n".join(line.strip() for line in "".join(data["text/html"]).splitlines()) + "\n"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return fenced(text, "text") if text.strip() else ""


def notebook_page(text: str, name: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown with its outputs, and its pictures by file name.

    Parameters
    ----------
    text : str
        The notebook's file.
    name : str
        What the names of pictures begin with.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source + "\n")
        elif cell["cell_type"] == "code":
            parts.append(fenced(source, "python"))
            parts += [_output(output, name, pictures) for output in cell["outputs"]]
    return "\n".join(parts), pictures


def carried_page(path: str) -> tuple[str, dict[str, bytes]]:
    """Return the page of a file or folder of the repository, and its pictures by file name."""
    place = ROOT / path
    if place.is_dir():
        found = (one.name for one in place.glob("*.md"))
        names = sorted(name for name in found if not name.endswith("-quick.md"))  # not in git
        lines = "".join(f"- [{name}]({posixpath.basename(path)}/{name})\n" for name in names)
        return f"# {path}\n\n{lines}", {}
    text = place.read_text(encoding="utf-8")
    if place.suffix == ".md":
        return text, {}
    if place.suffix == ".ipynb":
        return notebook_page(text, place.stem)
    return f"# {path}\n\n{fenced(text, _CODE.get(place.suffix, 'text'))}", {}


def named_pages(nav: object) -> Iterator[str]:
    """Yield the paths of all pages in the ``nav`` of mkdocs.yml."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for one in nav.values():
            yield from named_pages(one)
    elif isinstance(nav, list):
        for one in nav:
            yield from named_pages(one)


def carried_files(nav: object) -> dict[str, str]:
    """Return what the site takes from outside of ``docs/``: repository path -> its page's text.

    Those that ``nav`` names, those that pages link to, and those that these link to.
    """
    found: dict[str, str] = {}
    waiting: list[str] = []
    for named in named_pages(nav):
        path = named if (ROOT / named).exists() else named.removesuffix(".md")
        path = path.removesuffix("/index") if named.endswith("/index.md") else path
        if not (DOCS / named).exists() and (ROOT / path).exists():
            waiting.append(path)
    for page in sorted(DOCS.rglob("*.md")):
        here = page.relative_to(ROOT).as_posix()
        waiting += _outward(page.read_text(encoding="utf-8"), here)
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found[path] = carried_page(path)[0]
            if path.endswith((".md", ".ipynb")) or (ROOT / path).is_dir():
                waiting += _outward(found[path], path)
    return found


def _outward(markdown: str, page: str) -> Iterator[str]:
    """Yield the repository paths outside of ``docs/`` that a page links to and that exist."""
    for target in links(markdown):
        if is_local(target):
            path = repository_path(target, page)
            if not path.startswith(("docs/", "..")) and (ROOT / path).exists():
                yield path


# What mkdocs calls.


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of files that lie outside of ``docs/``."""
    from mkdocs.structure.files import File, InclusionLevel

    named = set(named_pages(config["nav"]))
    for path in carried_files(config["nav"]):
        uri, (text, pictures) = site_path(path), carried_page(path)
        level = InclusionLevel.INCLUDED if uri in named else InclusionLevel.NOT_IN_NAV
        added = [File.generated(config, uri, content=text, inclusion=level)]
        folder = posixpath.dirname(uri)
        for name, data in pictures.items():
            added.append(File.generated(config, posixpath.join(folder, name), content=data))
        for file in added:
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links to files outside of ``docs/`` lead to their pages."""
    uri = page.file.src_uri
    return with_site_links(markdown, f"docs/{uri}" if page.file.abs_src_path else _origin(uri))


def _origin(uri: str) -> str:
    """Return the repository path that a carried page was made of."""
    for path in (uri, uri.removesuffix(".md"), uri.removesuffix("/index.md")):
        if (ROOT / path).exists():
            return path
    return uri
