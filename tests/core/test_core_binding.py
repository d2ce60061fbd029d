# SPDX-License-Identifier: Apache-2.0
"""The extension module `mtfreeze._core`: stub, views, conversions, state, lock, GIL, memory.

Hostile arguments are in test_core_hostile.py, failing allocations in test_core_memory.py.
"""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import mtfreeze
from mtfreeze import _core
from mtfreeze.errors import ConcurrencyError, Error, SelectorError, TrainingError
from mtfreeze.runtime import threads as _runtime
from support import core_models as cm
from support.own_process import run_lines
from support.process_state import core_bytes, within

STUB = ast.parse((Path(mtfreeze.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
RESULTS = {
    name: [f.target.id for f in node.body if isinstance(f, ast.AnnAssign)]  # type: ignore[union-attr]
    for name, node in CLASSES.items()
    if any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)
}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
METHODS = {
    node.name: node
    for node in CLASSES["Model"].body
    if isinstance(node, ast.FunctionDef) and not node.decorator_list
}

needs_openblas = pytest.mark.skipif(
    not _core.WITH_OPENBLAS or _runtime.openblas_path() is None,
    reason="needs the extra openblas, and a build that may load it",
)


# ---- the stub tells the truth ----------------------------------------------------------------


def stub_parameters(node: ast.FunctionDef) -> list[tuple[str, bool, object]]:
    """Return (name, keyword only, default) of each argument but self."""
    plain = node.args.args
    defaults = [inspect.Parameter.empty] * (len(plain) - len(node.args.defaults))
    defaults += [ast.literal_eval(d) for d in node.args.defaults]
    found = [(a.arg, False, d) for a, d in zip(plain, defaults, strict=True) if a.arg != "self"]
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        value = inspect.Parameter.empty if default is None else ast.literal_eval(default)
        found.append((argument.arg, True, value))
    return found


def real_parameters(function: object) -> list[tuple[str, bool, object]]:
    """Return the same of a compiled function, from the signature in its docstring."""
    return [
        (p.name, p.kind is p.KEYWORD_ONLY, p.default)
        for p in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if p.name not in ("self", "module")
    ]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_function_has_the_signature_of_the_stub(name: str) -> None:
    assert real_parameters(getattr(_core, name)) == stub_parameters(FUNCTIONS[name])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_has_the_signature_of_the_stub(name: str) -> None:
    real = _core.Model if name == "__init__" else getattr(_core.Model, name)
    assert real_parameters(real) == stub_parameters(METHODS[name])
    assert inspect.getdoc(real), f"{name} has no docstring"


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_result_has_the_fields_of_the_stub(name: str) -> None:
    result = getattr(_core, name)
    assert list(result.__match_args__) == RESULTS[name]
    assert result.__module__ == "mtfreeze._core"


def test_nothing_is_missing_on_either_side() -> None:
    constants = {
        node.target.id
        for node in STUB.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    said = set(FUNCTIONS) | set(CLASSES) | constants
    assert {name for name in vars(_core) if not name.startswith("_")} == said
    properties = {n.name for n in CLASSES["Model"].body if isinstance(n, ast.FunctionDef)}
    real = {name for name in vars(_core.Model) if not name.startswith("_")}
    assert real == properties - {"__init__"}


def test_result_values_have_the_types_of_the_stub() -> None:
    model = cm.make_model()
    plan = model.plan(["classifier"], training=True, offsets=cm.OFFSETS)
    model.train_gradients(cm.BATCH, cm.losses())
    results = [model.params()[0], model.units()[0], model.outputs()[0], plan, plan.units[0]]
    results += [model.spaces()[0], model.inputs()[0], model.nodes()[0]]
    results += [cm.apply(model), _core.runtime_info(), _core.memory_info(), _core.flops()]
    assert {type(r).__name__ for r in results} == set(RESULTS)
    for result in results:
        for field in CLASSES[type(result).__name__].body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = ast.unparse(field.annotation).replace("None", "NoneType").split(" | ")
                kinds = [one.split("[")[0] for one in said]
                value = getattr(result, field.target.id)
                assert type(value).__name__ in kinds, f"{type(result).__name__}.{field.target.id}"


def test_parameters_say_whether_products_read_them() -> None:
    said = {info.key: info.in_products for info in cm.make_model().params()}
    tables = {key for key in said if "_embeddings." in key}
    vectors = {info.key for info in cm.make_model().params() if len(info.shape) == 1}
    assert len(tables) == 3
    assert {key for key, products in said.items() if not products} == tables | vectors


# ---- views -----------------------------------------------------------------------------------


def test_views_are_read_only_and_never_stale() -> None:
    model = cm.make_model()
    index = len(model.params()) - 2
    view = model.view(index)
    before = view.copy()
    assert view.dtype == np.float32 and view.flags.c_contiguous and not view.flags.owndata
    assert view.base is model
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    model.train_gradients(cm.BATCH, cm.losses())
    cm.apply(model)
    assert not np.array_equal(view, before)
    model.set_param(index, before)
    assert np.array_equal(view, before)


def test_view_keeps_the_model_alive_and_gives_it_back() -> None:
    start = core_bytes()
    model = cm.make_model()
    view = model.view(0)
    expected = view.copy()
    alive = core_bytes()
    assert alive > start
    del model
    assert core_bytes() == alive
    assert np.array_equal(view, expected)
    del view
    assert core_bytes() == start


def test_view_of_a_removed_head_stays_readable() -> None:
    model = cm.make_model()
    keys = [info.key for info in model.params()]
    view = model.view(keys.index("classifier.weight"))
    expected = view.copy()
    model.remove_head("classifier")
    for seed in range(5):
        model.add_head(f"other{seed}", cm.SEQUENCE_HEAD, seed)
    assert np.array_equal(view, expected)


# ---- conversions -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">i8"])
def test_any_integer_dtype_gives_the_same_bits(dtype: str) -> None:
    model = cm.make_model()
    expected = model.forward(cm.BATCH, cm.OUTPUTS)
    parts = [part.astype(dtype) for part in (cm.IDS, cm.STARTS, cm.TYPES)]
    found = model.forward(cm.batch(*parts), cm.OUTPUTS)
    for name, a, b in zip(cm.OUTPUTS, expected, found, strict=True):
        assert np.array_equal(a, b), name


def test_strides_and_subclasses_give_the_same_bits() -> None:
    model = cm.make_model()
    expected = model.forward(cm.BATCH, ["hidden"])[0]
    double = np.repeat(cm.IDS, 2)[::2]
    backward = cm.IDS[::-1].copy()[::-1]
    masked = np.ma.masked_array(cm.IDS)
    for ids in (double, backward, masked):
        batch = cm.batch(ids, cm.STARTS, cm.TYPES)
        assert np.array_equal(model.forward(batch, ["hidden"])[0], expected)
    values = np.arange(50 * 16, dtype=np.float64).reshape(16, 50) / 7
    model.set_param(0, values.T)
    assert np.array_equal(model.view(0), values.T.astype(np.float32))


def test_outputs_are_fresh_arrays() -> None:
    model = cm.make_model()
    first = model.forward(cm.BATCH, ["pooled"])[0]
    expected = first.copy()
    first[...] = 0
    assert first.flags.writeable and first.flags.owndata
    assert np.array_equal(model.forward(cm.BATCH, ["pooled"])[0], expected)


def test_no_sequences_give_no_rows() -> None:
    batch = cm.batch(np.array([], np.int32), np.array([0]))
    shapes = [a.shape for a in cm.make_model().forward(batch, cm.OUTPUTS)]
    assert shapes == [(0, 16), (0, 16), (0, 16), (0, 3), (0, 4)]


def test_batch_of_train_forward_may_change_before_backward() -> None:
    def gradient(spoil: bool) -> np.ndarray:
        model = cm.make_model()
        parts = [part.copy() for part in (cm.IDS, cm.STARTS, cm.TYPES)]
        model.train_begin(1, 1)
        model.train_forward(cm.batch(*parts), ["classifier"])
        if spoil:
            for part in parts:
                part[...] = 1_000_000
        model.train_backward([("classifier", cm.SEQUENCE_LABELS, 0.5)])
        found = model.gradient(0)
        assert found is not None
        return found

    assert np.array_equal(gradient(False), gradient(True))


# ---- state and order of calls ----------------------------------------------------------------


def test_optimizer_state_round_trip() -> None:
    model = cm.make_model()
    index = len(model.params()) - 1
    model.train_gradients(cm.BATCH, cm.losses())
    assert model.gradient(index) is not None
    cm.apply(model)
    state = model.state(index)
    assert state is not None and state[2] == 1
    other = cm.make_model()
    assert other.state(index) is None or other.state(index)[2] == 0  # type: ignore[index]
    other.set_state(index, *state)
    again = other.state(index)
    assert again is not None and again[2] == 1
    assert np.array_equal(again[0], state[0]) and np.array_equal(again[1], state[1])
    model.train_reset()
    assert model.gradient(index) is None and model.params()[index].n_steps == 0


def test_parts_of_a_step_equal_the_whole() -> None:
    whole, parts = cm.make_model(), cm.make_model()
    means, counts = whole.train_gradients(cm.BATCH, cm.losses(), seed=5, step=7)
    parts.train_begin(5, 7)
    parts.train_forward(cm.BATCH, ["classifier", "tagger"])
    scaled = [(n, y, w / c) for (n, y, w), c in zip(cm.losses(), counts, strict=True)]
    sums = parts.train_backward(scaled)
    assert np.allclose(np.array(sums) / counts, means, rtol=1e-6)
    for index, info in enumerate(whole.params()):
        assert np.array_equal(whole.gradient(index), parts.gradient(index)), info.key  # type: ignore[arg-type]
    assert cm.apply(whole) == cm.apply(parts)
    assert cm.bits(whole) == cm.bits(parts)


def test_calls_in_the_wrong_order_are_errors() -> None:
    model = cm.make_model()
    before = cm.bits(model)
    with pytest.raises(Error, match="needs a train_forward"):
        model.train_backward([])
    model.train_begin(0, 0)
    model.train_forward(cm.BATCH, ["classifier"])
    model.train_begin(0, 1)
    with pytest.raises(Error, match="needs a train_forward"):
        model.train_backward([])
    model.train_forward(cm.BATCH, ["classifier"])
    model.train_backward([("classifier", cm.SEQUENCE_LABELS, 1.0)])
    with pytest.raises(Error, match="needs a train_forward"):
        model.train_backward([])
    assert cm.bits(model) == before


def test_non_finite_gradient_is_a_training_error_and_changes_nothing() -> None:
    model = cm.make_model()
    before = cm.bits(model)
    model.train_gradients(cm.BATCH, [], {"pooled": np.full((3, 16), np.nan, np.float32)})
    with pytest.raises(TrainingError, match="backbone"):
        cm.apply(model)
    assert cm.bits(model) == before


def test_unknown_output_names_those_there_are() -> None:
    with pytest.raises(SelectorError, match=r"no output 'pooler'; it has: .*pooled.*classifier"):
        cm.make_model().forward(cm.BATCH, ["pooler"])


def test_model_is_neither_copied_nor_pickled_nor_subclassed() -> None:
    model = cm.make_model()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            attempt(model)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (_core.Model,), {})


# ---- one caller at a time, the GIL released --------------------------------------------------


@pytest.fixture(scope="module")
def slow() -> tuple[_core.Model, _core.Batch]:
    """Return a model and a batch whose forward pass takes a tenth of a second or more."""
    return cm.slow()


def run_beside(model: _core.Model, batch: object, beside: object) -> int:
    """Run `beside` again and again while a forward pass is under way; return how often."""
    done, count = threading.Event(), 0

    def work() -> None:
        try:
            model.forward(batch, ["pooled"])  # type: ignore[arg-type]
        finally:
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not done.is_set():
            beside()  # type: ignore[operator]
            count += 1
            time.sleep(0.001)
    finally:
        thread.join()
    return count


def test_gil_is_released_during_a_forward_pass(slow: tuple) -> None:
    assert run_beside(*slow, lambda: None) >= 10


def test_second_caller_is_refused_and_never_waits(slow: tuple) -> None:
    model, batch = slow
    refused = 0

    def beside() -> None:
        nonlocal refused
        try:
            model.params()
        except ConcurrencyError as error:
            refused += 1
            assert "one call at a time" in str(error)

    run_beside(model, batch, beside)
    assert refused >= 3  # during one pass: had a call waited for its end, it were one
    assert len(model.params()) > 0


def test_other_models_may_work_at_the_same_time(slow: tuple) -> None:
    other = cm.make_model()
    expected = cm.bits(other)
    run_beside(*slow, lambda: other.forward(cm.BATCH, ["pooled"]))
    assert cm.bits(other) == expected


@pytest.mark.parametrize("call", ["set_threads", "runtime_init", "load_blas"])
def test_runtime_stands_still_while_a_model_works(slow: tuple, call: str) -> None:
    arguments = {"set_threads": [_core.get_threads()], "runtime_init": [], "load_blas": ["/none"]}
    refused = 0

    def beside() -> None:
        nonlocal refused
        try:
            getattr(_core, call)(*arguments[call])
        except ConcurrencyError:
            refused += 1
        except (Error, OSError):
            pass  # the forward pass had not begun yet, or was over

    run_beside(*slow, beside)
    assert refused >= 3


def test_kernels_cannot_change_under_a_model() -> None:
    model = cm.make_model()
    with pytest.raises(Error, match="before the first model"):
        _core.runtime_init("ref")
    spaces = [(space.name, space.max_length) for space in model.spaces()]
    assert spaces == [("sequences", 1), ("tokens", cm.CONFIG["max_position_embeddings"])]
    assert [tuple(one) for one in model.inputs()] == [
        ("ids", "tokens", 0, cm.CONFIG["vocab_size"], False),
        ("token_types", "tokens", 0, cm.CONFIG["type_vocab_size"], True),
    ]


# ---- runtime ---------------------------------------------------------------------------------


def test_initialize_again_is_cheap_and_changes_nothing() -> None:
    _runtime.initialize()
    before = _core.runtime_info()
    with within(0.5):
        for _ in range(1000):
            _runtime.initialize()
    assert _core.runtime_info() == before


def test_show_config_prints_what_the_dict_says(capsys: pytest.CaptureFixture[str]) -> None:
    config = _runtime.show_config(mode="dict")
    assert config is not None and config["isa"] in config["isa_available"]
    assert set(config["isa_available"]) <= set(config["isa_compiled"])
    assert config["threads"] == _runtime.get_threads()
    assert (config["blas_path"] is None) == (config["blas"] == "reference")
    assert capsys.readouterr().out == ""
    assert _runtime.show_config() is None
    printed = capsys.readouterr().out
    assert all(key in printed for key in config) and config["blas"] in printed
    with pytest.raises(ValueError, match="expected one of 'print', 'dict'"):
        _runtime.show_config(mode="dicts")


def test_set_threads_is_remembered_and_checked() -> None:
    n = _runtime.get_threads()
    try:
        _runtime.set_threads(3)
        assert _runtime.get_threads() == 3
        for wrong in (0, -1, 257, 2**31, 2**70):
            with pytest.raises(ValueError):
                _runtime.set_threads(wrong)
        with pytest.raises(TypeError):
            _runtime.set_threads(2.0)  # type: ignore[arg-type]
        assert _runtime.get_threads() == 3
    finally:
        _runtime.set_threads(n)


BROKEN_OPENBLAS = """
import pathlib, sys, warnings
from mtfreeze import _core
from mtfreeze.runtime import threads as _runtime
broken = pathlib.Path(sys.argv[1])
for path in (broken, broken.with_name("missing.so")):
    try:
        _core.load_blas(path)
    except OSError as error:
        assert str(path) in str(error), error
    else:
        raise AssertionError("a broken library was loaded")
_runtime.openblas_path = lambda: broken
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    config = _runtime.show_config(mode="dict")
assert config["blas"] == "reference", config
assert config["blas_path"] is None, config
assert ["force-reinstall scipy-openblas32" in str(w.message) for w in caught] == [True], caught
"""


def test_broken_openblas_is_an_os_error_and_the_runtime_goes_on(tmp_path: Path) -> None:
    broken = tmp_path / "libscipy_openblas.so"
    broken.write_bytes(b"not a library")
    run_lines(BROKEN_OPENBLAS, str(broken), MTFREEZE_ISA="ref")


OPENBLAS_WHERE_NEEDED = """
from pathlib import Path
import mtfreeze as mtf
config = mtf.show_config(mode="dict")
there = Path("/proc/self/maps")
named = config["blas_path"] is not None
mapped = "scipy_openblas.so" in there.read_text() if there.exists() else named
print(int(mapped), int(named), int("openblas" in config["fp32"]))
"""


@needs_openblas
@pytest.mark.parametrize("level", _core.runtime_info().isa_available.split())
def test_openblas_is_loaded_where_its_products_are_used(level: str) -> None:
    found = run_lines(OPENBLAS_WHERE_NEEDED, MTFREEZE_ISA=level).split()
    assert found == ["1" if level == "ref" else "0"] * 3


def test_without_openblas_the_level_that_needs_it_says_so() -> None:
    lines = "from mtfreeze.runtime import threads\nthreads.openblas_path = lambda: None\n"
    lines += "import warnings, mtfreeze\nwith warnings.catch_warnings(record=True) as caught:\n"
    lines += "    warnings.simplefilter('always')\n    mtfreeze.show_config()\n"
    lines += "print(*(w.message for w in caught))"
    said = run_lines(lines, MTFREEZE_ISA="ref")
    assert ("pip install 'mtfreeze[openblas]'" in said) is _core.WITH_OPENBLAS


def test_import_loads_no_blas_and_chooses_nothing() -> None:
    code = (
        "import mtfreeze.runtime.threads as r; print(r._ready, r._core.memory_info().n_allocations)"
    )
    assert run_lines(code).split() == ["False", "0"]
