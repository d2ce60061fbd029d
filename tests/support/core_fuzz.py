# SPDX-License-Identifier: Apache-2.0
"""Random arguments for `mtfreeze._core`: mostly right, at times wrong in one of many ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from mtfreeze import _core
from mtfreeze.errors import Error
from support import core_models as cm

REFUSALS = (Error, TypeError, ValueError, IndexError, MemoryError, OSError)
"""What a call may end in: the errors that `_core.pyi` names, and no other."""

COUNTS = [0, 1, 7, 4096, 2**53, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1]
NOTHING: list[Any] = [None, True, 1.5, "x", b"x", [], {}, object(), 10**400, float("nan"), (1, 2)]
DTYPES = ["f4", "f8", "f2", "i4", "i8", "u1", "u8", "c8", "?", "O", "S3", ">f4", ">i4", "M8[s]"]


class Draw(random.Random):
    """What a case draws its calls from."""

    n_rows: dict[str, int] = {"sequences": 3, "tokens": 12}  # noqa: RUF012  of the last batch
    wanted: tuple[str, ...] = ("pooled",)  # the last outputs that were asked for

    def oddly(self, value: Any, times: int = 40) -> Any:
        """Return the value, once in so many times something that is none of its kind."""
        return value if self.randrange(times) else self.choice(NOTHING)

    def count(self, value: int = 1) -> Any:
        """Return a small number, at times one at the end of some range, or none."""
        return self.oddly(value if self.randrange(12) else self.choice(COUNTS), 60)

    def array(self, values: np.ndarray) -> Any:
        """Return the values in another form: strides, dtypes, shapes, or no array."""
        form = self.randrange(70)
        if form == 0:
            return values[:-1]
        if form == 1:
            return values[..., None]
        if form == 2:
            with np.errstate(all="ignore"):
                return values.astype(self.choice(DTYPES))
        if form == 3:
            return self.choice([values.tolist(), np.ma.array(values), np.float32(1), NOTHING[7]])
        if form == 4:
            return np.repeat(values, 2, axis=-1)[..., ::2]
        if form == 5:
            return np.asfortranarray(values)
        if form == 6 and values.dtype.kind == "f":
            return np.full_like(values, self.choice([np.nan, np.inf, 1e38, 1.0, 0.5]))
        return values

    def normal(self, *shape: int) -> np.ndarray:
        """Return float32 values around 0."""
        seed = self.randrange(2**32)
        return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)

    def batch(self, model: _core.Model) -> Any:
        """Return a batch of 1 to 4 texts, its parts at times wrong."""
        lengths = [self.randint(1, 12) for _ in range(self.randint(1, 4))]
        self.n_rows = {"sequences": len(lengths), "tokens": sum(lengths)}
        starts = np.cumsum([0, *lengths]).astype(self.choice(["i4", "i8", "u2"]))
        ids = np.array([self.randrange(50) for _ in range(sum(lengths))], self.choice(["i4", "u8"]))
        if self.randrange(20) == 0:
            ids[-1] = self.choice([50, 2**31 - 1])
        if self.randrange(20) == 0:
            starts[-1] = self.choice([0, 1, 999])
        features = None
        if self.randrange(6) == 0:
            info = self.choice(model.outputs())
            values = self.normal(self.n_rows[info.space], info.width)
            features = self.oddly({self.oddly(info.name): self.array(values)})
        found = cm.batch(self.array(ids), self.array(starts), features=features)
        if self.randrange(40) == 0:
            del found[self.choice(sorted(found))]
        if self.randrange(40) == 0:
            found[self.choice(["inputs", "offsets", "labels"])] = self.choice(NOTHING)
        return self.oddly(found, 60)

    def outputs(self, model: _core.Model) -> Any:
        """Return names of outputs."""
        names = [info.name for info in model.outputs()]
        self.wanted = tuple(self.sample(names, self.randint(1, 3)))
        found = [self.oddly(name, 60) for name in self.wanted]
        if self.randrange(20) == 0:
            found.append(self.choice([found[0], "none", "", "a\0b", "x" * 5000, "é"]))
        return self.oddly(self.choice([tuple, list])(found), 60)

    def mask(self, n: int) -> Any:
        """Return a mask over so many things, frozen from below."""
        return self.array(np.arange(n) < self.randrange(n + 1))

    def index(self, model: _core.Model) -> Any:
        """Return the index of a parameter, or of none."""
        n = len(model.params())
        return self.oddly(self.randrange(n) if self.randrange(8) else self.choice([n, *COUNTS]), 60)

    def values(self, model: _core.Model, index: Any) -> Any:
        """Return values for a parameter."""
        params = model.params()
        inside = type(index) is int and 0 <= index < len(params)
        return self.array(self.normal(*(params[index].shape if inside else (3,))))

    def goals(self, model: _core.Model) -> list[_core.OutputInfo]:
        """Return some of the outputs asked for last, at times another."""
        infos = [info for info in model.outputs() if info.name in self.wanted]
        other = self.choice(model.outputs())
        return infos[: self.randint(1, 2)] if infos and self.randrange(10) else [other]

    def losses(self, model: _core.Model) -> Any:
        """Return losses for the last batch, of outputs asked for last."""
        found: list[Any] = []
        for info in self.goals(model):
            n = self.n_rows[info.space] + (self.randrange(20) == 0)
            labels = np.array([self.choice([0, 1, 2, -100]) for _ in range(n)], np.int32)
            rows = self.choice([labels, self.normal(n, info.width)])
            item = (self.oddly(info.name), self.array(rows), self.oddly(0.5, 60))
            fitting = "mse" if rows is not labels else "cross_entropy"
            kind = (self.oddly(self.choice([fitting] * 8 + ["mse", "cross_entropy", "none"]), 60),)
            found.append(self.oddly(self.choice([item, list(item), *[(*item, *kind)] * 6]), 60))
        return self.oddly(found, 60)

    def injections(self, model: _core.Model) -> Any:
        """Return gradients for the last batch, at outputs asked for last."""
        made = {
            self.oddly(info.name): self.array(
                self.normal(self.n_rows[info.space] + (self.randrange(20) == 0), info.width)
            )
            for info in self.goals(model)
        }
        return self.oddly(self.choice([None, made, made]))


def freeze_mask(draw: Draw, model: _core.Model) -> Any:
    """Return a freeze state to ask about, or None."""
    pair = (draw.mask(len(model.params())), draw.mask(len(model.units())))
    return draw.choice([None, pair, pair[:1], draw.choice(NOTHING)])


def options(draw: Draw, **made: Any) -> dict[str, Any]:
    """Return some of these keyword arguments, at times one that there is not."""
    found = {name: value for name, value in made.items() if draw.randrange(2)}
    return {**found, "nothing": 1} if draw.randrange(30) == 0 else found


Call = Callable[[Draw, _core.Model], object]


def _apply(draw: Draw, model: _core.Model) -> object:
    n = len(model.params())
    rate = draw.choice([*[1e-3] * 15, 0.0, np.nan, -1.0, 1e30])
    return model.train_apply(
        draw.array(np.full(n, rate)),
        draw.array(np.full(n, 0.01)),
        **options(
            draw,
            beta1=draw.choice([*[0.9] * 9, 1.0, "x"]),
            beta2=draw.choice([*[0.999] * 9, -1.0, 1]),
            eps=draw.choice([*[1e-8] * 5, 1.0, 1e-50]),
            max_grad_norm=draw.choice([1.0, 1, 0, np.inf, np.nan, None]),
        ),
    )


def _set_values(name: str) -> Call:
    def call(draw: Draw, model: _core.Model) -> object:
        index = draw.index(model)
        return getattr(model, name)(index, draw.values(model, index))

    return call


def _set_state(draw: Draw, model: _core.Model) -> object:
    index = draw.index(model)
    moments = [draw.values(model, index) for _ in range(2)]
    return model.set_state(index, *moments, draw.count(3))


def _add_head(draw: Draw, model: _core.Model) -> object:
    heads = [unit.path for unit in model.units() if unit.is_head]
    if len(heads) > 4:
        return model.remove_head(draw.choice(heads))
    config: dict[Any, Any] = {**draw.choice([cm.SEQUENCE_HEAD, cm.TOKEN_HEAD])}
    if draw.randrange(4) == 0:
        config[draw.choice([*config, 3])] = draw.choice([*NOTHING, -1, 2**62, [2**40], ["x"]])
    name = draw.choice(
        [*[f"head{draw.randrange(10**6)}"] * 9, *heads, "", "pooled", "a\0", "é", None]
    )
    return model.add_head(name, draw.oddly(config), draw.count())


def _plan(draw: Draw, model: _core.Model) -> object:
    batch = draw.batch(model)
    return model.plan(
        draw.outputs(model),
        training=draw.oddly(draw.randrange(2) == 0),
        offsets=batch.get("offsets") if isinstance(batch, dict) else batch,
        **options(
            draw,
            features=draw.outputs(model),
            token_budget=draw.count(13),
            precision=draw.choice([0, 1, 2, -1, 17, 99, None]),
            save_bf16=True,
            frozen=freeze_mask(draw, model),
        ),
    )


def _step(draw: Draw, model: _core.Model) -> object:
    """Make the calls of a step one after another, as a caller in their right mind would."""
    model.train_begin(0, 0, dropout=draw.randrange(2) == 0)
    model.train_forward(draw.batch(model), draw.outputs(model))
    model.train_backward(draw.losses(model), draw.injections(model))
    return _apply(draw, model)


def _step_options(draw: Draw) -> dict[str, Any]:
    return options(
        draw,
        dropout=draw.randrange(2) == 0,
        precision=draw.oddly(draw.choice([0, 0, 0, 0, 1, 1, 1, 2, -1])),
        save_bf16=draw.randrange(2) == 0,
    )


CALLS: dict[str, tuple[float, Call]] = {
    "step": (12, _step),
    "train_begin": (
        6,
        lambda d, m: m.train_begin(d.count(), d.count(), **_step_options(d)),
    ),
    "train_forward": (
        8,
        lambda d, m: m.train_forward(d.batch(m), d.outputs(m), *d.choice([(), (d.count(),)])),
    ),
    "train_outputs": (4, lambda d, m: m.train_outputs(d.batch(m), d.outputs(m), d.count(9))),
    "train_backward": (
        8,
        lambda d, m: m.train_backward(d.choice([(), d.losses(m)]), d.injections(m)),
    ),
    "train_gradients": (
        6,
        lambda d, m: m.train_gradients(
            d.batch(m),
            d.choice([[], d.losses(m)]),
            d.injections(m),
            **options(d, token_budget=d.count(9), seed=d.count(), step=d.count()),
            **_step_options(d),
        ),
    ),
    "train_apply": (8, _apply),
    "train_reset": (0.5, lambda d, m: m.train_reset()),
    "memory_info": (0.5, lambda d, m: m.memory_info()),
    "reset_peak_memory": (0.5, lambda d, m: m.reset_peak_memory()),
    "forward": (
        6,
        lambda d, m: m.forward(d.batch(m), d.outputs(m), d.choice([-1, 0, 1, 2, 16, 18, 99])),
    ),
    "set_frozen": (
        3,
        lambda d, m: m.set_frozen(d.mask(len(m.params())), d.mask(len(m.units()))),
    ),
    "set_precision": (
        2,
        lambda d, m: m.set_precision(
            d.array(np.full(len(m.params()), d.choice([0, 1, 2, 3]), np.uint8))
        ),
    ),
    "set_param": (3, _set_values("set_param")),
    "set_gradient": (3, _set_values("set_gradient")),
    "set_state": (3, _set_state),
    "gradient": (2, lambda d, m: m.gradient(d.index(m))),
    "state": (2, lambda d, m: m.state(d.index(m))),
    "view": (1, lambda d, m: m.view(d.index(m))),
    "add_head": (3, _add_head),
    "remove_head": (
        2,
        lambda d, m: m.remove_head(d.choice([*(u.path for u in m.units()), "none", None])),
    ),
    "set_adapter": (
        2,
        lambda d, m: m.set_adapter(d.choice([None, cm.ADAPTER, {"adapter": "lora"}, 3])),
    ),
    "plan": (3, _plan),
    "prefix": (
        2,
        lambda d, m: m.prefix(
            d.outputs(m), d.randrange(2) == 0, **options(d, frozen=freeze_mask(d, m))
        ),
    ),
    "set_threads": (1, lambda d, m: _core.set_threads(d.choice([1, 2, 3, 0, -1, 257, 2**40, "1"]))),
}
"""How often each is drawn, and a call of it with drawn arguments."""
