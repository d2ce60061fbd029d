# SPDX-License-Identifier: Apache-2.0
"""Quantities in words: parameters, bytes, seconds and FLOPs.

Each form is for one place: `in_values` and `in_bytes` for tables (three digits), `in_count` for
lines (one decimal); `in_seconds` for estimates, `in_time` for columns of seconds, `in_duration`
for pictures and sentences.
"""

from __future__ import annotations

__all__ = [
    "in_bytes",
    "in_count",
    "in_duration",
    "in_flops",
    "in_seconds",
    "in_time",
    "in_values",
]


def in_values(n: int) -> str:
    """Return a number of values in the usual short form.

    Examples
    --------
    >>> in_values(770), in_values(22_565_376), in_values(11_830_000)
    ('770', '22.6 M', '11.8 M')
    """
    if n < 1_000:
        return str(n)
    return f"{n / 1e3:.3g} k" if n < 999_500 else f"{n / 1e6:.3g} M"


def in_bytes(n: float) -> str:
    """Return a number of bytes in the usual short form.

    Examples
    --------
    >>> in_bytes(0), in_bytes(9_240), in_bytes(181_000_000)
    ('0', '9.24 kB', '181 MB')
    """
    for limit, divisor, unit in ((999.5, 1, "B"), (999.5e3, 1e3, "kB"), (999.5e6, 1e6, "MB")):
        if abs(n) < limit:
            return "0" if n == 0 else f"{n / divisor:.3g} {unit}"
    return f"{n / 1e9:.3g} GB"


def in_seconds(seconds: float) -> str:
    """Return a time in seconds, or in minutes or hours where it is long.

    Examples
    --------
    >>> in_seconds(0.0), in_seconds(0.0123), in_seconds(74.26), in_seconds(700), in_seconds(9000)
    ('0', '0.012 s', '74.3 s', '11.7 min', '2.5 h')
    """
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def in_flops(flops: float) -> str:
    """Return FLOPs in units of 10**9.

    Examples
    --------
    >>> in_flops(0), in_flops(41.2e9), in_flops(1.5e6), in_flops(8.25e13)
    ('0', '41.2', '0.0015', '82,500')
    """
    value = flops / 1e9
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def in_count(n: int) -> str:
    """Return a count with one decimal and a unit.

    Examples
    --------
    >>> in_count(22_565_376), in_count(1925), in_count(770)
    ('22.6 M', '1.9 k', '770')
    """
    if n < 1_000:
        return str(n)
    return f"{n / 1e3:.1f} k" if n < 999_950 else f"{n / 1e6:.1f} M"


def in_time(seconds: float) -> str:
    """Return seconds with as many digits as are worth reading.

    Examples
    --------
    >>> in_time(0.0), in_time(0.034), in_time(1.26), in_time(74.26), in_time(1234.5)
    ('0.00', '0.03', '1.26', '74.3', '1,234')
    """
    if seconds < 9.995:
        return f"{seconds:.2f}"
    return f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:,.0f}"


def in_duration(seconds: float) -> str:
    """Return a time in the usual short form.

    Examples
    --------
    >>> in_duration(0), in_duration(0.034), in_duration(12.34), in_duration(187), in_duration(7300)
    ('0 s', '34 ms', '12.3 s', '3 min 7 s', '2 h 1 min')
    """
    if seconds == 0:
        return "0 s"
    if seconds < 0.1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
