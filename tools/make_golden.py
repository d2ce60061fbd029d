"""Make tests/golden/*.npz: what torch and transformers compute for small seeded BERTs.

Each file holds one model (tests/parity/cases.py): its weights, a packed batch, all hidden states,
embeddings, logits, the gradient of every parameter, and the losses and gradient norms of ten steps
of AdamW with clipping. Computed in float64, stored as float32 (weights as float16, which holds them
exactly), without pickle. `make test` compares mtfreeze with them where torch is not installed.

    python tools/make_golden.py [--check]

`--check` compares the committed files with a new computation (1e-6 relative) and changes nothing.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "tests" / "parity"))

import cases  # type: ignore[import-not-found]  # noqa: E402
import torch  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
from cases import Head, Packed  # noqa: E402
from torch_reference import Reference  # type: ignore[import-not-found]  # noqa: E402

N_STEPS = 10


def compute(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one golden file."""
    config = cases.GOLDEN[name]
    hidden = cases.head_hidden(name)
    shapes = cases.parameter_shapes(config, hidden)
    weights = cases.seeded_weights(shapes, seed=1, scale=0.15)
    batch = Packed(*cases.seeded_batch(config, 2, cases.LENGTHS))
    heads = {
        "classifier": Head("sequence_classification", 3, hidden["classifier"]),
        "ner_head": Head("token_classification", 5, hidden["ner_head"]),
    }
    model = Reference(config, heads, weights, torch.float64)

    arrays: dict[str, NDArray[Any]] = {
        f"weight/{k}": v.astype(np.float16) for k, v in weights.items()
    }
    arrays |= {"batch/ids": batch.ids, "batch/offsets": batch.offsets}
    if batch.token_types is not None:
        arrays["batch/token_types"] = batch.token_types
    arrays |= {f"labels/{k}": v for k, v in batch.labels.items()}
    with torch.no_grad():
        outputs = model.outputs(batch)
    arrays |= {f"output/{k}": v.numpy().astype(np.float32) for k, v in outputs.items()}
    gradients = model.gradients(batch, cases.TASK_WEIGHTS)
    arrays |= {f"gradient/{k}": v.astype(np.float32) for k, v in gradients.items()}
    steps = [Packed(*cases.seeded_batch(config, 10 + i, cases.LENGTHS)) for i in range(N_STEPS)]
    losses, norms = model.take_steps(steps, cases.TASK_WEIGHTS, rates=cases.RATES)
    arrays |= {"steps/losses": np.array(losses), "steps/norms": np.array(norms)}
    return arrays


def main() -> int:
    """Write or check the golden files; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    status = 0
    save: Any = np.savez_compressed
    for name in cases.GOLDEN:
        path = GOLDEN / f"{name}.npz"
        arrays = compute(name)
        if not options.check:
            GOLDEN.mkdir(parents=True, exist_ok=True)
            save(path, **arrays)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes, {len(arrays)} arrays")
            continue
        with np.load(path, allow_pickle=False) as stored:
            for key in sorted(arrays.keys() | set(stored.files)):
                if key not in arrays or key not in stored.files:
                    print(f"{path.name}: {key} is only in one of the two", file=sys.stderr)
                    status = 1
                elif not np.allclose(stored[key], arrays[key], rtol=1e-6, atol=1e-8):
                    print(f"{path.name}: {key} differs", file=sys.stderr)
                    status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
