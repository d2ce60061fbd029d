# SPDX-License-Identifier: Apache-2.0
"""Pictures: plain data in; a matplotlib figure, or the same facts in words, out.

One topic a file, each with ``<topic>_figure(data, ...) -> Figure`` and ``<topic>_text(data, ...)``:
`trainability`, `modes`, `curves`, `rates`, `timeline`, `confusion`, `quality`, `boxes`.
``sheets.py`` says where they are drawn. ``writing.py`` hands them out, writes them to a file or as
SVG text, and knows what to do without matplotlib, which is imported only when a figure is made.
Called by whatever has something to show.
Nothing here knows a model, and ``matplotlib.pyplot`` is never touched, so that the figures of a
notebook stay what they are; ours show themselves (``notebook_figure.py``).
"""
