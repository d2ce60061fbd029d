"""ResNet-50, ViT-B/16, ViT-S/16, VGG-16 against every engine: inference, steps, memory; DETR.

SPDX-License-Identifier: Apache-2.0

Random weights, pictures of 224 pixels, batches of 1 and 8. Inference in fp32 and bf16 against
OpenVINO, ONNX Runtime, PyTorch eager (convolutions in channels_last) and `torch.compile` with
inductor's freezing; steps (AdamW, norms by stored statistics) against PyTorch eager, with the whole
model, the upper part and the head training, and with what the frozen part gives stored; memory is
the peak of a process that takes full steps of ResNet-50. Of VGG-16 there is inference alone. DETR
over ResNet-50 takes steps of one picture of 800 x 800 pixels in fp32, its residual network frozen:
PyTorch computes that in every step, mtfreeze in every step or once. Every side runs in a process of
its own, timed alternately (A B A B), after a round that is not counted; vectors, or the losses of
DETR, are compared first. Engines have one stream of all threads. Where other work runs on the
machine, `--clock cpu --threads 1`. Prints markdown.

    python benchmarks/bench_vision_peers.py [--threads 2] [--repeats 5] [--clock wall|cpu]
        [--models resnet-50 vit-b vit-s vgg-16] [--precision fp32 bf16] [--batches 1 8]
        [--parts inference steps memory detection]
        [--peers openvino onnxruntime torch compiled] [--tiny]

`--tiny` takes small models: does everything run? Its figures are not to be quoted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from parts import detection_sides as ds
from parts import machine
from parts import vision_models as vm
from parts.figures import Spread, Target, header, line, spread, verdicts
from parts.workers import Worker

PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "openvino": ("OpenVino", {}),
    "onnxruntime": ("OnnxRuntime", {}),
    "torch": ("Torch", {}),
    "compiled": ("Torch", {"compiled": True}),
}
"""Class of `parts.vision_sides`, and its arguments."""

NAMES = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
    "compiled": "PyTorch compiled",
}
APART = {"fp32": 2e-4, "bf16": 0.1}
"""Largest difference of pooled vectors, over the largest component, of what is the same model."""

STEPS = {
    "resnet": [("none", False), ("backbone[:-1]", False), ("backbone[:-1]", True)],
    "vit": [("none", False), ("backbone[:-3]", False), ("backbone[:-3]", True)],
    "tiny-vit": [("none", False), ("backbone[:-1]", False), ("backbone[:-1]", True)],
}
HEAD = [("backbone", True)]
SAID = {
    "none": "everything",
    "backbone[:-1]": "the last stage or layer and the head",
    "backbone[:-3]": "the last 3 layers and the head",
    "backbone": "the head",
}
Key = tuple[str, ...]
TARGETS: dict[Key, tuple[str, Target]] = {
    ("vit-b", "fp32", "8", "openvino"): ("ViT fp32, batch 8, to OpenVINO", Target(1.03)),
    ("vit-b", "fp32", "1", "openvino"): ("ViT fp32, batch 1, to OpenVINO", Target(0.96)),
    ("vit-b", "bf16", "8", "openvino"): ("ViT bf16, batch 8, to OpenVINO", Target(0.95, 1.0)),
    ("resnet-50", "fp32", "8", "openvino"): (
        "ResNet-50 fp32, batch 8, to OpenVINO", Target(0.86, 0.92)),
    ("resnet-50", "fp32", "1", "openvino"): (
        "ResNet-50 fp32, batch 1, to OpenVINO", Target(0.92, 1.0)),
    ("resnet-50", "bf16", "8", "openvino"): ("ResNet-50 bf16, batch 8, to OpenVINO", Target(0.85)),
    ("resnet-50", "fp32", "8", "torch"): ("ResNet-50 fp32, batch 8, to PyTorch", Target(1.35)),
    ("resnet-50", "fp32", "8", "compiled"): (
        "ResNet-50 fp32, batch 8, to PyTorch compiled", Target(0.88)),
    ("resnet-50", "fp32", "none"): ("ResNet-50, full step, fp32", Target(1.2, 1.3)),
    ("resnet-50", "bf16", "none"): ("ResNet-50, full step, bf16", Target(1.1, 1.2)),
    ("resnet-50", "fp32", "backbone[:-1]"): ("ResNet-50, stage 4 and head, fp32", Target(1.15)),
    ("resnet-50", "fp32", "backbone[:-1]", "stored"): (
        "ResNet-50, stage 4 and head, stored, fp32", Target(2.7, 3.1)),
    ("vit-b", "fp32", "none"): ("ViT-B, full step, fp32", Target(1.1)),
    ("vit-b", "fp32", "backbone[:-3]", "stored"): (
        "ViT-B, last 3 layers, stored, fp32", Target(2.1, 2.3)),
    ("resnet-50", "fp32", "backbone", "stored"): ("head alone, stored, fp32", Target(3000)),
    ("vgg-16", "fp32", "8", "openvino"): (
        "VGG-16 fp32, batch 8, to OpenVINO", Target(0.9, 0.95)),
    ("vgg-16", "fp32", "1", "openvino"): (
        "VGG-16 fp32, batch 1, to OpenVINO", Target(0.9, 0.95)),
    ("vgg-16", "fp32", "8", "torch"): ("VGG-16 fp32, batch 8, to PyTorch", Target(1.0)),
    ("vgg-16", "fp32", "1", "torch"): ("VGG-16 fp32, batch 1, to PyTorch", Target(1.0)),
    ("detection", "stored"): ("DETR, backbone frozen and stored, to PyTorch", Target(4.0)),
    ("memory",): ("peak of a full ResNet-50 step, to PyTorch", Target(0.65, at_most=True)),
}  # fmt: skip
"""By model, precision, and batch with peer, or what is frozen."""

Found = dict[Key, float]


def start(peer: str, name: str, batch: int, precision: str, options: argparse.Namespace) -> Worker:
    """Start a side; `peer` may be ``"ours"``."""
    side, more = ("Ours", {}) if peer == "ours" else PEERS[peer]
    print(f"starting {peer}, {name}, {precision}, batch {batch}", file=sys.stderr, flush=True)
    return Worker(
        f"parts.vision_sides:{side}", options.threads, name=name, batch=batch,
        threads=options.threads, precision=precision, clock=options.clock, **more,
    )  # fmt: skip


def agree(worker: Worker, exact: np.ndarray, precision: str, what: str) -> None:
    """Raise RuntimeError if a side computes another model."""
    found = np.array(worker("pooled"))
    apart = float(np.abs(found - exact).max() / np.abs(exact).max())
    if not apart <= APART[precision]:
        raise RuntimeError(
            f"{what} does not compute the same: vectors {apart:.1e} apart from mtfreeze fp32, "
            f"expected at most {APART[precision]:.0e}"
        )


class Roofs:
    """What the processor can do, measured in turn with what is timed, by the same clock."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.usual = machine.roofs(options.threads)
        self.side = Worker(
            "parts.family_sides:Roof", options.threads, threads=options.threads, clock=options.clock
        )

    def now(self, precision: str) -> float:
        """Return the roof of a precision, in GFLOP/s; bf16's by its usual ratio to fp32's."""
        return float(self.side("rate")) * self.usual[precision] / self.usual["fp32"]


def alternate(
    ours: Worker, theirs: Worker, method: str, repeats: int, roof: Callable[[], float]
) -> tuple[float, Spread, float]:
    """Return our median seconds, how many times longer the other took, and the median roof."""
    for side in (ours, theirs):
        side(method)
    pairs, roofs = [], [roof()]
    for _ in range(repeats):
        pairs.append((ours(method), theirs(method)))
        roofs.append(roof())
    own = statistics.median(mine for mine, _ in pairs)
    return own, spread([b / a for a, b in pairs]), statistics.median(roofs)


def inference(options: argparse.Namespace, roofs: Roofs, found: Found) -> None:
    """Print the table of forward passes."""
    print("\n### Inference\n")
    print(
        header("model", "precision", "batch", "mtfreeze, images/s (of roof)", "peer",
               "peer, images/s", "ratio (lowest-highest)", "peak MB, mtfreeze / peer")
    )  # fmt: skip
    for name in options.models:
        for batch in options.batches:
            base = start("ours", name, batch, "fp32", options)
            exact = np.array(base("pooled"))
            base.close()
            for precision in options.precision:
                ours = start("ours", name, batch, precision, options)
                agree(ours, exact, precision, f"mtfreeze {precision}")
                flops = ours("flops", training=False)
                for peer in options.peers:
                    if peer == "onnxruntime" and precision == "bf16":
                        continue
                    try:
                        theirs = start(peer, name, batch, precision, options)
                        agree(theirs, exact, precision, f"{NAMES[peer]} {precision}, {name}")
                    except RuntimeError as error:  # one that does not run must not hide the others
                        said = str(error).splitlines()[0]
                        print(line(name, precision, batch, "", NAMES[peer], said, "", ""))
                        continue
                    roof = partial(roofs.now, precision)
                    own, ratio, most = alternate(ours, theirs, "forward", options.repeats, roof)
                    share = flops / own / 1e9 / most
                    peaks = " / ".join(f"{one('peak') / 1e6:,.0f}" for one in (ours, theirs))
                    print(
                        line(name, precision, batch, f"{batch / own:.1f} ({share:.0%})",
                             NAMES[peer], f"{batch / own / ratio.median:.1f}", ratio, peaks),
                        flush=True,
                    )  # fmt: skip
                    found[name, precision, str(batch), peer] = ratio.median
                    theirs.close()
                ours.close()


def steps(options: argparse.Namespace, roofs: Roofs, found: Found) -> None:
    """Print the table of optimizer steps, against PyTorch eager."""
    batch = max(options.batches)
    print(f"\n### Steps, batches of {batch}, against PyTorch\n")
    print(
        header("model", "precision", "trains", "parameters", "mtfreeze, images/s (of roof)",
               "PyTorch, images/s", "ratio (lowest-highest)")
    )  # fmt: skip
    for name in [one for one in options.models if vm.MODELS[one][0] in STEPS]:
        for precision in options.precision:
            ours = start("ours", name, batch, precision, options)
            theirs = start("torch", name, batch, precision, options)
            for what, stored in [*STEPS.get(name, STEPS[vm.MODELS[name][0]]), *HEAD]:
                trained = {one("freeze", what=what, stored=stored) for one in (ours, theirs)}
                if len(trained) > 1:
                    raise SystemExit(f"{name}, {what}: the two train {trained} parameters")
                roof = partial(roofs.now, precision)
                own, ratio, most = alternate(ours, theirs, "step", options.repeats, roof)
                share = ours("flops", training=True, stored=stored) / own / 1e9 / most
                said = SAID[what] + (", the rest stored" if stored else "")
                print(
                    line(name, precision, said, f"{trained.pop():,}",
                         f"{batch / own:.1f} ({share:.0%})", f"{batch / own / ratio.median:.1f}",
                         ratio),
                    flush=True,
                )  # fmt: skip
                key = (name, precision, what, *(["stored"] if stored else []))
                found[key] = ratio.median
            ours.close()
            theirs.close()


def memory(options: argparse.Namespace, found: Found) -> None:
    """Print the peaks of full steps in processes that do nothing else."""
    name, batch = options.models[0], max(options.batches)
    print(f"\n### Peak memory of full steps of {name}, batches of {batch}, fp32\n")
    peaks = []
    print(header("", "loaded, MB", "after two steps, MB"))
    for peer in ("ours", "torch"):
        side = start(peer, name, batch, "fp32", options)
        before = side("peak")
        side("freeze", what="none", stored=False)
        for _ in range(2):
            side("step")
        peaks.append(side("peak"))
        side.close()
        said = "mtfreeze" if peer == "ours" else NAMES[peer]
        print(line(said, f"{before / 1e6:,.0f}", f"{peaks[-1] / 1e6:,.0f}"), flush=True)
    if name == "resnet-50":
        found[("memory",)] = peaks[0] / peaks[1]
    print(f"\nmtfreeze / PyTorch: {peaks[0] / peaks[1]:.2f}")


def detection(options: argparse.Namespace, roofs: Roofs, found: Found) -> None:
    """Print the table of steps of DETR with a frozen residual network, against PyTorch."""
    name = "tiny-detr" if options.tiny else "detr-r50"
    print(f"\n### Steps of {name}, one picture, the residual network frozen, fp32\n")
    print(
        header("residual network", "parameters", "mtfreeze, s (of roof)", "PyTorch, s",
               "ratio (lowest-highest)", "peak MB, mtfreeze / PyTorch")
    )  # fmt: skip
    ours, theirs = (
        Worker(f"parts.detection_sides:{side}", options.threads, name=name,
               threads=options.threads, clock=options.clock)
        for side in ("Ours", "Torch")
    )  # fmt: skip
    trained = {one("trained") for one in (ours, theirs)}
    if len(trained) > 1:
        raise SystemExit(f"{name}: the two train {trained} parameters")
    for stored in (False, True):
        pairs, shares = [], [roofs.now("fp32")]
        for turn in range(options.repeats + 1):
            mine, other = ours("step", stored=stored), theirs("step")
            if not abs(mine[1] - other[1]) <= APART["fp32"] * other[1]:
                raise RuntimeError(f"{name}, step {turn}: losses {mine[1]} and {other[1]}")
            if turn:  # the first one is not counted
                pairs.append((mine[0], other[0]))
                shares.append(roofs.now("fp32"))
        own = statistics.median(mine for mine, _ in pairs)
        ratio = spread([other / mine for mine, other in pairs])
        share = ours("flops", stored=stored) / own / 1e9 / statistics.median(shares)
        peaks = " / ".join(f"{one('peak') / 1e6:,.0f}" for one in (ours, theirs))
        print(
            line("stored" if stored else "computed in every step", f"{max(trained):,}",
                 f"{own:.3f} ({share:.0%})", f"{own * ratio.median:.3f}", ratio, peaks),
            flush=True,
        )  # fmt: skip
        if not options.tiny:
            found["detection", "stored" if stored else "computed"] = ratio.median
    ours.close()
    theirs.close()


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    full = [name for name in vm.MODELS if name not in vm.TINY]
    parser.add_argument("--models", nargs="+", choices=full, default=full)
    parser.add_argument(
        "--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"]
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parts = ("inference", "steps", "memory", "detection")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--tiny", action="store_true", help="small models: does it run?")
    options = parser.parse_args()
    if options.tiny:
        options.models = list(vm.TINY)
    for name in options.models:
        vm.folder_of(name)
        if {"openvino", "onnxruntime"} & set(options.peers) and "inference" in options.parts:
            vm.onnx_file(name)
    roofs, found = Roofs(options), Found()
    print(f"## Images against peers, {options.threads} threads, {options.clock} seconds")
    if "inference" in options.parts:
        inference(options, roofs, found)
    if "steps" in options.parts:
        steps(options, roofs, found)
    if "memory" in options.parts:
        memory(options, found)
    if "detection" in options.parts:
        ds.folder_of("tiny-detr" if options.tiny else "detr-r50")
        detection(options, roofs, found)
    rows = [
        (said, f"{found[key]:.2f}x", target.said(found[key]))
        for key, (said, target) in TARGETS.items()
        if key in found
    ]
    print(f"\n{machine.said_roofs(roofs.usual)}" + (f"\n\n{verdicts(rows)}" if rows else ""))


if __name__ == "__main__":
    main()
