# SPDX-License-Identifier: Apache-2.0
"""A figure that shows itself in a notebook without pyplot; imported only with matplotlib there.

IPython learns to show figures when ``matplotlib.pyplot`` is set up, which nothing here does: so the
figure says itself what it looks like.
"""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from .default_style import default_style

__all__ = ["NotebookFigure"]


class NotebookFigure(Figure):
    """A figure with ``_repr_png_``, drawn as it is written to a file."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        with default_style():
            self.savefig(data, format="png", metadata={"Software": None})
        return data.getvalue()
