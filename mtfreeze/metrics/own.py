# SPDX-License-Identifier: Apache-2.0
"""A metric of one's own: a function from what is right and what was answered to a number.

``Task(metrics=[f])`` calls ``f(gold, predicted)``. A process that runs a job from a folder gets it
by name, ``"module:qualname"``, and imports it; nothing is pickled.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from ..checks import as_number, typed
from ..errors import ConfigError
from ..quoting import cut, quoted

__all__ = ["MetricFunction", "function_at", "own_name", "own_path", "own_value"]

MetricFunction = Callable[[Any, Any], float]
"""(gold, predicted) -> a number; arrays as `heads.told.Told.plain` makes them."""

_MAIN = "__main__"


def own_name(function: MetricFunction) -> str:
    """Return what figures call a metric: the name of its function.

    Raises
    ------
    ConfigError
        If it has none that figures can carry, as a lambda.
    """
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        found = "no name" if name is None else f"the name {quoted(name)}"
        raise ConfigError(
            "a metric of your own must be a function with a name, which figures carry; found "
            f"{found} of {typed(function)}; write it with def"
        )
    return name


def own_value(function: MetricFunction, gold: Any, predicted: Any, where: str) -> float:
    """Return what a metric says, NaN where that is undefined.

    Parameters
    ----------
    function : callable
    gold, predicted : arrays
        Copies; the function may change them.
    where : str
        How the message begins.

    Raises
    ------
    ConfigError
        If it raises, or returns no number.
    """
    name = own_name(function)
    begin = f"{where}: expected the metric {quoted(name)} to return a number for (gold, predicted)"
    shapes = f"arrays of shape {gold.shape} and {predicted.shape}, {gold.dtype}"
    try:
        given: object = function(gold, predicted)
    except Exception as error:
        said = f"{type(error).__name__}: {cut(str(error), 150)}"
        raise ConfigError(f"{begin}; it raised {said} for {shapes}; correct it") from error
    number = as_number(given)
    if number is None or math.isinf(number):
        raise ConfigError(f"{begin}; found {typed(given)} for {shapes}; return one finite float")
    return number


def own_path(function: MetricFunction, where: str) -> str:
    """Return ``"module:qualname"``, by which another process finds a function.

    Raises
    ------
    ConfigError
        If it would not; the message begins with `where`.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    path = f"{module}:{name}"
    if module == _MAIN:
        why = "it stands in the script or notebook itself"
    elif not isinstance(module, str) or not isinstance(name, str):
        why = "it has no module and name"
    elif "<locals>" in name:
        why = "it stands inside of another function"
    else:
        try:
            if function_at(path, where) is function:
                return path
            why = f"{quoted(path)} is another one"
        except ConfigError:
            why = f"{quoted(path)} cannot be imported"
    raise ConfigError(
        f"{where}: jobs run in processes of their own, which import the metric "
        f"{quoted(own_name(function))} by its name; found that {why}; put it at the top level of a "
        "module, a .py file that Python finds, and import it from there"
    )


def function_at(path: str, where: str) -> MetricFunction:
    """Return the function that `own_path` named.

    Raises
    ------
    ConfigError
        If there is none; the message begins with `where`.
    """
    module, _, names = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except Exception as error:  # what a module of the user's raises, too
        raise ConfigError(
            f"{where}: expected a metric at {quoted(path)}; importing it raised "
            f"{type(error).__name__}: {cut(str(error), 150)}; make the module importable here, "
            "for instance by PYTHONPATH"
        ) from None
    if not callable(found):
        raise ConfigError(
            f"{where}: expected a metric at {quoted(path)}; found {typed(found)}; name a function"
        )
    function: MetricFunction = found
    return function
