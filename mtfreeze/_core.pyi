# SPDX-License-Identifier: Apache-2.0
"""The C core as Python sees it. Shapes: B sequences, N rows of an input's or output's row space.

Every method that computes releases the GIL. A model is used by one thread at a time: a call that
meets another one under way raises `mtfreeze.errors.ConcurrencyError`. Errors: TypeError (also for
a dtype that does not fit), ValueError (value, shape), IndexError (no such parameter index),
mtfreeze.errors.ConfigError, mtfreeze.errors.SelectorError (no such name), MemoryError, OSError,
mtfreeze.errors.TrainingError (non-finite), mtfreeze.errors.Error (wrong order of calls).

Arrays must be `numpy.ndarray`. Integer arrays (ids, offsets, labels) may have any integer
dtype whose values fit; they are copied. Float arrays may have any real dtype and strides;
what is not float32 (float64 for rates) in C order is converted once. Lists of names and of losses
are lists or tuples. Results are struct sequences: tuples whose fields have names, without
the `_replace` and `_asdict` of a namedtuple.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
ConfigValue = int | float | bool | str | Sequence[int]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Mask = NDArray[np.uint8] | NDArray[np.bool_]
# (output, targets, weight) or (output, targets, weight, kind of loss); without a kind that of the
# head. Targets: "cross_entropy" (N,) classes or IGNORE_LABEL, "mse" (N, width) values or NaN first,
# "set" (N, 5) boxes [label, centre x, centre y, width, height] in the first rows of a sequence,
# label -1 behind them, NaN in all rows of one without a target.
Targets = Int32 | Float32
Settings = tuple[float, float, float, float, NDArray[np.float64] | None]
Loss = (
    tuple[str, Targets, float]
    | tuple[str, Targets, float, str | None]
    | tuple[str, Targets, float, str | None, Settings | None]
)

IGNORE_LABEL: int
VERSION: str
WITH_OPENBLAS: bool

class ParamInfo(NamedTuple):
    key: str
    unit: int
    shape: tuple[int, ...]
    size: int
    version: int
    decays: bool
    in_products: bool  # a factor of linear products; not: a table that is looked up, or a vector
    convolves: bool  # the weight of a convolution
    is_buffer: bool  # statistics, which have no gradient
    moves: bool  # those that steps move unless they or all else in their unit are frozen
    frozen: bool
    precision: int  # of its products while it is frozen: 0 fp32, 1 bf16, 2 int8
    n_steps: int
    aliases: tuple[str, ...]

class UnitInfo(NamedTuple):
    path: str
    is_head: bool
    first_param: int
    n_params: int
    n_values: int
    n_values_frozen: int
    frozen: bool

class SpaceInfo(NamedTuple):
    # "sequences", which has one row a sequence and no offsets; "tokens"; those of heads: "picked"
    name: str
    max_length: int  # most rows of one sequence
    of_heads: bool  # a sequence may have no rows; a batch without offsets has none
    row_cost: int  # rows of a token budget that one row counts as
    rows_per_token: int  # rows that count as one of a token budget
    is_grid: bool  # rows are those of a picture, row by row: batches bring its widths
    height: int  # of the one grid that it takes, with `width`; 0: any
    width: int
    # The space that its rows follow from, or None. Of a grid each side is
    # (side + 2 padding - kernel) / stride + 1, rounded down; with ceil up, if the last window
    # begins before the padding behind. What is no grid has `extra` rows more.
    of: str | None
    kernel: int
    stride: int
    padding: int
    ceil: bool
    extra: int
    fixed: int  # every sequence has so many rows; 0: they differ

class InputInfo(NamedTuple):
    name: str  # "ids", "token_types"
    space: str  # of which it has one row each
    width: int  # of a row of floats; 0: ids
    limit: int  # ids are 0 .. limit - 1; 0: floats
    optional: bool  # ids that a batch may leave out: all zeros

class OutputInfo(NamedTuple):
    name: str
    space: str  # "tokens" or "sequences"
    width: int
    tensor: int  # its number, see NodeInfo

class NodeInfo(NamedTuple):
    """One operation. Tensors are numbered: tensor i is input i of the model, an output says its
    own, all others are made by one node each. What an operation computes stands in csrc/ops."""

    op: str  # "linear", "attention"
    label: str
    inputs: tuple[int, ...]  # tensors; -1: absent
    outputs: tuple[int, ...]  # likewise
    widths: tuple[int, ...]  # columns of the outputs; 0: absent
    spaces: tuple[int, ...]  # their row spaces, numbers of spaces(); -1: absent
    params: tuple[int, ...]  # indexes of parameters; -1: absent
    attributes: dict[str, float]  # all that there are; an operation reads its own

class UnitPlan(NamedTuple):
    forward_flops: float
    dx_flops: float
    dw_flops: float
    saved_bytes: int
    runs: bool
    in_prefix: bool
    dropout: bool

class PlanInfo(NamedTuple):
    forward_flops: float
    prefix_flops: float
    dx_flops: float
    dw_flops: float
    weight_bytes: int
    form_bytes: int  # packed copies of the weights that it reads
    gradient_bytes: int
    moment_bytes: int
    row_bytes: int  # of rows of tables: reached, moved, never; of statistics: those of a step
    saved_bytes: int
    activation_grad_bytes: int
    worker_bytes: int
    shared_bytes: int
    n_trainable: int
    n_values: int
    couples: bool  # an operation takes the whole batch, which is not cut
    n_forward: int
    n_backward: int
    units: tuple[UnitPlan, ...]

class UpdateResult(NamedTuple):
    grad_norm: float
    clip: float
    n_stepped: int

class RuntimeInfo(NamedTuple):
    isa: str
    isa_compiled: str
    isa_available: str
    product_isa: tuple[str, ...]  # level that makes large products in fp32, bf16, int8; or "blas"
    blas: str
    n_threads: int
    blas_rows_checked: bool

class MemoryInfo(NamedTuple):
    n_allocations: int
    bytes_now: int
    bytes_peak: int

class Flops(NamedTuple):
    forward: float
    dx: float  # gradients of activations
    dw: float  # gradients of weights

def runtime_init(isa: str | None = None) -> None:
    """Before the first model only."""

def load_blas(path: str) -> None: ...
def runtime_info() -> RuntimeInfo:
    """Chooses the kernels if nobody has."""

def set_threads(n_threads: int) -> None: ...
def get_threads() -> int: ...
def check_calls(check: Callable[[], object] | None) -> Callable[[], object] | None:
    """While a call of the core in the main thread takes long, `check` is called every some 30 ms;
    what it raises ends the call, as what handlers of signals raise does. Returns the one before."""

def memory_info() -> MemoryInfo: ...
def reset_peak_memory() -> None: ...
def count_flops(on: bool) -> None:
    """True: counts floating-point operations from zero, where they are done; False: stops. Losses
    and updates are not counted, so the counts are those that `Model.plan` promises."""

def flops() -> Flops: ...
def outline(
    config: Mapping[str, ConfigValue], heads: Mapping[str, Mapping[str, ConfigValue]]
) -> list[ParamInfo]:
    """The parameters that Model(config) would have with these heads, in order; key, unit, shape,
    size, decays, in_products, convolves and aliases count. No memory is taken for them."""

def loss_values(
    kind: str, outputs: Float32, targets: Targets, offsets: Int64, parts: int = 1
) -> NDArray[np.float64]:
    """The mean loss of each sequence as if it were a step by itself, (B,), NaN where it has no
    target. Outputs (N, width) are `parts` answers side by side, targets as the kind takes them;
    offsets (B + 1,): where the rows of each sequence begin. ValueError: what a step refuses."""

def assignment(costs: NDArray[np.float64]) -> Int64:
    """Column of each row of costs (n, m), (n,): all different and of the least total cost; -1 for
    rows without one, where n > m. ValueError: a cost is not finite, or beyond 1e300."""

def fail_allocation_after(n: int) -> None:
    """Tests only: the n-th allocation from now fails once; 0 switches it off."""

def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Calls functions without arguments one after another; what each gives. Where they are C
    functions, in functools.partial, no interrupt comes in between. The first that raises is the
    last that is called."""

class Bracket:
    """A block between two functions without arguments. `end` is called whatever became of `begin`
    (None: nothing) and of the block, and again when an interrupt cut it short; so it must be right
    at any time and as often as one likes."""

    def __init__(self, begin: Callable[[], Any] | None, end: Callable[[], Any]) -> None: ...
    def __enter__(self) -> Any:
        """Calls begin and returns what it gives."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
    def run(
        self, work: Callable[_Given, _Result], /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Result:
        """begin, work, end: what `with` does, without a line of Python at either end."""

# A batch has the keys
#   "inputs"    input -> ids (N,) or float rows (N, width); without those that nothing reads
#   "offsets"   row space -> (B+1,) int64, where each sequence's rows begin; all but "sequences"
#   "widths"    row space -> (B,) int64, columns of each sequence's grid; may be absent where
#               nothing that runs looks around in a grid
#   "features"  output -> values (N, width), perhaps: what only they need does not run. In training
#               nothing below a given output may train (ValueError); given outputs that nothing
#               reads are passed over.
# Float arrays are taken as they are when float32 in C order.
Offsets = Mapping[str, Int64]
Widths = Mapping[str, Int64]
Batch = Mapping[str, Mapping[str, NDArray[Any]] | None]

class Model:
    """One backbone and its heads. Indexes are positions in params() and units()."""

    def __init__(self, config: Mapping[str, ConfigValue]) -> None:
        """All parameters zero, nothing frozen. `config`: flat keys of config.json that are numbers,
        booleans or texts, plus "pooling" and "normalize"."""

    def add_head(self, name: str, config: Mapping[str, ConfigValue], seed: int = 0) -> None: ...
    def remove_head(self, name: str) -> None: ...
    def set_adapter(self, config: Mapping[str, ConfigValue] | None, seed: int = 0) -> None:
        """Adds an adapter, or removes the one that there is. Its parameters stand before those of
        heads, whose indexes move."""

    def params(self) -> list[ParamInfo]: ...
    def units(self) -> list[UnitInfo]: ...
    def spaces(self) -> list[SpaceInfo]: ...
    def inputs(self) -> list[InputInfo]: ...
    def outputs(self) -> list[OutputInfo]: ...
    def nodes(self) -> list[NodeInfo]:
        """What the model computes, in an order in which every tensor is made before it is read."""

    @property
    def version(self) -> int:
        """Counter raised by set_param, set_frozen, set_precision, set_adapter, add_head and
        remove_head, not by train_apply."""

    def prefix(
        self, outputs: Sequence[str], training: bool, frozen: tuple[Mask, Mask] | None = None
    ) -> list[str]:
        """Outputs that the frozen prefix hands on, the highest that features may be given at; []:
        there is no prefix, or it cannot be given. frozen: as in plan."""

    def view(self, index: int) -> Float32:
        """Read-only array over the master weights; its base keeps the model alive; never stale."""

    def set_param(self, index: int, values: Float32) -> None:
        """Copies values of the same shape (any strides; other real dtypes are rounded)."""

    def set_frozen(self, params: Mask, units: Mask) -> None:
        """Replaces the freeze state. `units` is read for heads only."""

    def set_precision(self, params: NDArray[np.uint8]) -> None:
        """Replaces what the products of frozen parameters are made in: 0 fp32, 1 bf16, 2 int8."""

    def forward(self, batch: Batch, outputs: Sequence[str], precision: int = -1) -> list[Float32]:
        """Inference. One fresh (N, width) array an output. precision of the products: 0 fp32,
        1 bf16, 2 int8; -1: of frozen parameters as set_precision says, of others fp32."""

    def train_begin(
        self,
        seed: int,
        step: int,
        dropout: bool = True,
        precision: int = 0,
        save_bf16: bool = False,
    ) -> None:
        """precision of the step's products: 0 fp32, 1 bf16; frozen parameters with a precision of
        their own run forward in that. save_bf16: rounds what is kept for the backward pass."""

    def train_forward(
        self, batch: Batch, wanted: Sequence[str], first_sequence: int = 0
    ) -> list[Float32]:
        """Forward of a micro-batch that keeps what backward needs; values of the wanted outputs."""

    def train_outputs(
        self, batch: Batch, outputs: Sequence[str], token_budget: int
    ) -> tuple[list[Float32], bool]:
        """Values of outputs of the whole step, in micro-batches as in train_gradients; whether
        there was one micro-batch, which now waits for train_backward."""

    def train_backward(
        self,
        losses: Sequence[Loss] = (),
        injections: Mapping[str, Float32] | None = None,
    ) -> list[float]:
        """losses: with scales as weights. Returns the sums of each loss over labelled rows."""

    def train_gradients(
        self,
        batch: Batch,
        losses: Sequence[Loss],
        injections: Mapping[str, Float32] | None = None,
        *,
        token_budget: int = 4096,
        seed: int = 0,
        step: int = 0,
        dropout: bool = True,
        precision: int = 0,
        save_bf16: bool = False,
    ) -> tuple[list[float], list[int]]:
        """A whole batch, in micro-batches of at most token_budget rows of any row space. Returns
        mean losses (unweighted, over labelled rows) and labelled rows; gradients wait in the
        model."""

    def train_apply(
        self,
        learning_rate: NDArray[np.float64],
        weight_decay: NDArray[np.float64],
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        max_grad_norm: float = 1.0,
    ) -> UpdateResult:
        """learning_rate, weight_decay: one number a parameter."""

    def gradient(self, index: int) -> Float32 | None:
        """Copy of the gradient of the step under way; None: frozen or not reached."""

    def set_gradient(self, index: int, values: Float32) -> None: ...
    def state(self, index: int) -> tuple[Float32, Float32, int] | None:
        """Copies of both moments, and the step count; None: no state."""

    def set_state(self, index: int, moment1: Float32, moment2: Float32, n_steps: int) -> None: ...
    def train_reset(self) -> None: ...
    def memory_info(self) -> MemoryInfo:
        """What this model takes: weights, state, plans, arenas, packed weights; what other models
        of the process take is not in it."""

    def reset_peak_memory(self) -> None: ...
    def plan(
        self,
        outputs: Sequence[str],
        *,
        training: bool,
        offsets: Offsets,
        widths: Widths | None = None,
        features: Sequence[str] = (),
        token_budget: int = 4096,
        precision: int | None = None,
        save_bf16: bool = False,
        frozen: tuple[Mask, Mask] | None = None,
    ) -> PlanInfo:
        """Price of exactly the batch with these offsets, carrying these features (widths are
        checked where they are given; no price needs them): FLOPs of the whole (one train_gradients,
        or one forward), and the bytes that running it reserves at the present number of threads:
        arenas of the largest micro-batch, scratch of all workers together, packed copies of the
        weights, gradients and moments of the parameters that it reaches. precision, save_bf16: as
        in forward or train_begin; None: the default there. frozen: (params, units) as in
        set_frozen, the freeze state that is meant, in the precisions that are set; None: the
        model's own. Nothing of the model changes."""
