"""The sides of `bench_vision_peers.py`, each in a process of its own (see `workers.py`).

Every side holds one model and one batch of prepared pictures; norms use their stored statistics
everywhere. `forward` and `step` return seconds, of the wall's clock or the process's. PyTorch's
side imports no mtfreeze, so that memory can be told apart.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from . import vision_models as vm
from .memory import peak_bytes

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LABELS = [str(number) for number in range(10)]
RATE, DECAY = 1e-5, 0.01
WHOLE = 1 << 40
"""A budget of tokens that no batch reaches: the step is one batch, as it is in PyTorch."""
LEAST = 0.05
"""Seconds that steps are timed for: one of the head alone takes less than waking up does, and comes
after others like it in an epoch."""


class _Side(ABC):
    """What all have in common.

    Parameters
    ----------
    name : str
        Of `vision_models.MODELS`.
    batch : int
    threads : int
    precision : {"fp32", "bf16"}
    clock : {"wall", "cpu"}
    """

    def __init__(self, name: str, batch: int, threads: int, precision: str, clock: str) -> None:
        self.name, self.batch, self.threads = name, batch, threads
        self.precision, self.clock = precision, CLOCKS[clock]

    @abstractmethod
    def compute(self) -> np.ndarray:
        """Return the pooled vectors, (batch, width) float32."""

    def pooled(self) -> list[list[float]]:
        """Return the pooled vectors as JSON holds them."""
        return [[float(one) for one in row] for row in np.asarray(self.compute(), np.float32)]

    def forward(self, times: int = 1) -> float:
        """Compute the pooled vectors so often and return the seconds of one."""
        begin = self.clock()
        for _ in range(times):
            self.compute()
        return (self.clock() - begin) / times

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()


class Ours(_Side):
    """mtfreeze."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        import mtfreeze as mtf
        from mtfreeze.runtime.precision import core_code

        mtf.set_threads(self.threads)
        self.code = core_code(self.precision)
        self.model = mtf.MultiTaskModel.from_pretrained(
            vm.folder_of(self.name), pooling=vm.pooling_of(self.name)
        )
        self.model.add_head("what", mtf.SequenceClassification(LABELS, dropout=0.0))
        encoded = self.model.encoder.encode_images([*vm.pictures(self.name, self.batch)])
        self.lengths = encoded.lengths.tolist()
        self.ready: Any = encoded.pack(np.arange(self.batch)).for_core()
        self.labels = np.arange(self.batch, dtype=np.int32) % len(LABELS)
        self.given: Any = self.ready

    def compute(self) -> np.ndarray:
        return self.model._core.forward(self.ready, ["pooled"], precision=self.code)[0]

    def freeze(self, what: str, stored: bool) -> int:
        """Freeze; with `stored` steps read what the frozen part gives. Return what trains."""
        self.model.unfreeze()
        if what != "none":
            self.model.freeze(what)
        core, self.given = self.model._core, self.ready
        core.train_reset()
        if stored:
            n = self.model.index.n_layers
            top = "pooled" if what == "backbone" else f"hidden_states.{_layers(what, n)}"
            rows = core.forward(self.ready, [top])[0]
            self.given = {**self.ready, "inputs": {}, "features": {top: rows}}
        n_params = len(core.params())
        self.rates = np.full(n_params, RATE), np.full(n_params, DECAY)
        return sum(view.size for view in self.model.trainable_parameters().values())

    def step(self) -> float:
        """Take an optimizer step, or several short ones, and return the seconds of one."""
        core, begin, n, taken = self.model._core, self.clock(), 0, 0.0
        while taken < LEAST:
            core.train_gradients(
                self.given, [("what", self.labels, 1.0)], token_budget=WHOLE, precision=self.code
            )
            core.train_apply(*self.rates)
            n, taken = n + 1, self.clock() - begin
        return taken / n

    def flops(self, training: bool, stored: bool = False) -> float:
        """Return the floating-point operations of a forward pass, or of a step."""
        from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of

        return (
            PlanPrices(self.model._core)
            .flops(
                ["what" if training else "pooled"],
                sizes_of(self.lengths),
                features=list(self.given.get("features", {})) if stored else [],
                training=training,
            )
            .total
        )


def _layers(what: str, n: int) -> int:
    """Return k of ``backbone[:k]``."""
    k = int(what.partition(":")[2].removesuffix("]"))
    return k if k >= 0 else n + k


class Torch(_Side):
    """PyTorch; convolutions in channels_last."""

    def __init__(self, *given: Any, compiled: bool = False, **named: Any) -> None:
        super().__init__(*given, **named)
        import torch

        torch.set_num_threads(self.threads)
        self.model = vm.torch_model(self.name).eval()
        self.pixels = torch.from_numpy(vm.planes(self.name, self.batch))
        self.convolves = vm.MODELS[self.name][0] in vm.CONVOLUTIONS
        if self.convolves:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.pixels = self.pixels.to(memory_format=torch.channels_last)
        self.bf16 = self.precision == "bf16"
        self.run: Any = lambda pixels: vm.torch_pooled(self.name, self.model, pixels)
        if compiled:
            import torch._inductor.config as inductor

            inductor.freezing = True
            self.run = torch.compile(self.run)
        self.optimizer: Any = None

    def compute(self) -> np.ndarray:
        import torch

        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.run(self.pixels).float().numpy()

    def freeze(self, what: str, stored: bool) -> int:
        """Freeze as mtfreeze does; nothing is stored here. Return what trains."""
        import torch

        width = self.model.config.hidden_sizes[-1] if self.convolves else None
        self.head = torch.nn.Linear(width or self.model.config.hidden_size, len(LABELS))
        below: list[Any] = []
        if what == "backbone":
            below = [self.model]
        elif what != "none":
            if self.convolves:
                layers, bottom = self.model.encoder.stages, self.model.embedder
            else:
                # where transformers 5 keeps them, and where it did before
                layers = getattr(self.model, "layers", None) or self.model.encoder.layer
                bottom = self.model.embeddings
            below = [bottom, *layers[: _layers(what, len(layers))]]
        self.model.requires_grad_(True)
        for part in below:
            part.requires_grad_(False)
        both = [*self.model.parameters(), *self.head.parameters()]
        self.trained = [one for one in both if one.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=RATE, weight_decay=DECAY)
        self.labels = torch.arange(self.batch) % len(LABELS)
        return sum(one.numel() for one in self.trained)

    def step(self) -> float:
        """Take an optimizer step and return the seconds."""
        import torch

        begin = self.clock()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            pooled = vm.torch_pooled(self.name, self.model, self.pixels)
        loss = torch.nn.functional.cross_entropy(self.head(pooled.float()), self.labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return self.clock() - begin


class OpenVino(_Side):
    """OpenVINO on the ONNX graph, its shape fixed to the batch."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        import openvino

        core = openvino.Core()
        model = core.read_model(vm.onnx_file(self.name))
        self.pixels = vm.planes(self.name, self.batch)
        model.reshape({vm.PIXELS: list(self.pixels.shape)})
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.threads,
        }
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()

    def compute(self) -> np.ndarray:
        return np.array(self.request.infer([self.pixels], share_inputs=True)[0])


class OnnxRuntime(_Side):
    """ONNX Runtime on the same graph; it has no bf16 on processors."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(vm.onnx_file(self.name)), options, providers=["CPUExecutionProvider"]
        )
        self.pixels = vm.planes(self.name, self.batch)

    def compute(self) -> np.ndarray:
        return self.session.run(None, {vm.PIXELS: self.pixels})[0]
