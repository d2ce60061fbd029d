# SPDX-License-Identifier: Apache-2.0
"""Without spaCy the component says which extra brings it, and nothing else needs it."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("mtfreeze.spacy")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("spacy", "spacy.language"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"needs spaCy.*pip install 'mtfreeze\[spacy\]'"):
        importlib.import_module("mtfreeze.spacy")
