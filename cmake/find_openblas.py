# SPDX-License-Identifier: Apache-2.0
"""Print the OpenBLAS files to carry along: the library, what it needs beside it, its licence.

Output: paths joined by ``;`` (a CMake list), the library first; nothing when the package
``scipy-openblas32`` is absent. The package is found without being imported, since importing it
loads the library.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path


def openblas_files() -> list[Path]:
    """Return the library first, then companion libraries, then licence texts."""
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or not spec.submodule_search_locations:
        return []
    lib = Path(spec.submodule_search_locations[0]) / "lib"
    library = [p for p in sorted(lib.glob("libscipy_openblas*")) if p.suffix in {".so", ".dylib"}]
    if not library:
        return []
    companions = [
        p
        for pattern in ("libgfortran*", "libquadmath*", "libgcc_s*")
        for folder in (lib, lib.parent / ".dylibs", lib.parent.parent / "scipy_openblas32.libs")
        for p in sorted(folder.glob(pattern))
    ]
    listed = importlib.metadata.files("scipy-openblas32") or []
    licences = [Path(str(f.locate())) for f in listed if "licen" in f.name.lower()]
    return [*library[:1], *companions, *licences]


if __name__ == "__main__":
    print(";".join(str(path) for path in openblas_files()))
