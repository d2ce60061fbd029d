# SPDX-License-Identifier: Apache-2.0
"""Print the path of the library of the package ``scipy-openblas32``; nothing where that is absent.

The package is found without being imported, since importing it loads the library.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("scipy_openblas32")
places = spec.submodule_search_locations if spec is not None else None
found = [path for place in places or () for path in Path(place).glob("lib/libscipy_openblas*")]
print(*sorted(path for path in found if path.suffix in {".so", ".dylib"})[:1])
