r"""What only a GPU can show: the paper's training step, a step of fine-tuning 5B, the loss alone.

    python benchmarks/gpu.py --out gpu.json           # on one NVIDIA GPU, in less than two minutes
    python benchmarks/gpu.py --tiny                   # tiny shapes on the CPU: checks the script
    python benchmarks/gpu.py --table gpu.json         # prints the tables of a run elsewhere

Steps with lambda = 0 and lambda = 1 alternate in one process. Memory and time stand beside what
`motifocal train --dry-run --cost` and `motifocal train --memory` work out. The JSON is written
after every part; a part or a case that fails is in it with its error, and the others go on. Tables
of the results are printed at the end. Nothing here reads a video, so PyAV is not needed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

STARTED = time.monotonic()

import accelerate  # noqa: E402
import diffusers  # noqa: E402
import torch  # noqa: E402
from gpu_parts import ASSUMED, PARTS, Bench  # noqa: E402
from measure import duration, markdown, processor, usable_cores  # noqa: E402

#: Dense bfloat16 TFLOP/s by a part of the GPU's name, as the maker states them.
PEAKS = {"H200": 989.5, "H100": 989.5, "A100": 312.0}
#: How the time is shared between the parts, and what is left for a case that has begun.
SHARES, IN_HAND = {"paper": 50.0, "loss": 5.0, "finetune": 40.0}, 0.85
PAPER_HEADER = ("micro-batch", "λ = 1 : λ = 0", "middle half", "step", f"at {ASSUMED:.0%}",
                "samples/s", "of the peak", "peak memory", "predicted")  # fmt: skip
FINETUNE_HEADER = ("frozen weights", "step", f"at {ASSUMED:.0%}", "TFLOP", "of the peak",
                   "peak memory", "predicted")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    given = options().parse_args(arguments)
    if given.table is not None:
        print(tables(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    if not given.tiny and not torch.cuda.is_available():
        raise SystemExit("a GPU is needed; --tiny runs on the CPU")
    device = torch.device("cpu" if given.tiny else "cuda")
    peak = given.tflops or peak_of(device)
    bench = Bench(device, given.tiny, peak, say, 2 if given.tiny else given.rounds)
    results: dict[str, Any] = {"machine": machine(bench), "parts": bench.results}
    keep(results, given.out)
    share = IN_HAND * given.seconds / sum(SHARES[name] for name in given.parts)
    deadline = STARTED
    for name in given.parts:
        deadline += share * SHARES[name]
        until = deadline  # bound now: the part is called at once
        work = PARTS[name]
        bench.results[name] = bench.attempt(name, lambda work=work, until=until: work(bench, until))
        results["seconds"] = time.monotonic() - STARTED
        keep(results, given.out)
    print(tables(results))


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, help="where to write the results, JSON")
    made.add_argument("--parts", type=parts, default=list(SHARES), metavar="PART,PART",
                      help=f"of {', '.join(SHARES)}; default: all")  # fmt: skip
    made.add_argument("--seconds", type=float, default=110.0, help="in all; default: %(default)s")
    made.add_argument("--rounds", type=int, default=5,
                      help="of a step, after one to warm up; default: %(default)s")  # fmt: skip
    made.add_argument("--tflops", type=float,
                      help="the GPU's peak in bfloat16; default: known for some")  # fmt: skip
    made.add_argument("--tiny", action="store_true", help="on the CPU: figures mean nothing")
    made.add_argument("--table", type=Path, help="print the tables of this JSON, measure nothing")
    return made


def parts(text: str) -> list[str]:
    """Return the parts named in `text`, in the order in which they run."""
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in SHARES]:
        raise argparse.ArgumentTypeError(f"should be of {', '.join(SHARES)}, got {unknown[0]!r}")
    return [name for name in SHARES if name in chosen]


def say(text: str) -> None:
    """Print progress at once, with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", file=sys.stderr, flush=True)


def keep(results: Mapping[str, Any], path: Path | None) -> None:
    """Write the results so far, where a path is given."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def machine(bench: Bench) -> dict[str, Any]:
    """Return what is measured on; of a GPU the rate of a large matrix product too."""
    found: dict[str, Any] = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}", "python": platform.python_version(),
        "torch": torch.__version__, "diffusers": diffusers.__version__,
        "accelerate": accelerate.__version__, "processor": processor(), "cores": usable_cores(),
        "tiny": bench.tiny, "gpu": None, "peak_tflops": bench.peak,
    }  # fmt: skip
    if bench.device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"gpu": properties.name, "gpu_bytes": properties.total_memory,
                  "cuda": torch.version.cuda}  # fmt: skip
        found |= bench.attempt("a matrix product", lambda: {"matmul_tflops": matmul_rate(bench)})
    return found


def peak_of(device: torch.device) -> float | None:
    """Return the stated peak of the GPU, None where it is not known."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else ""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def matmul_rate(bench: Bench, side: int = 8192, calls: int = 20) -> float:
    """Return the TFLOP/s of a bfloat16 product of two large matrices."""
    a = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    bench.wait()
    began = time.perf_counter()
    for _ in range(calls):
        a @ a
    bench.wait()
    return calls * 2 * side**3 / (time.perf_counter() - began) / 1e12


def tables(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    on, found = results["machine"], results["parts"]
    words = [on["gpu"] or on["processor"], f"Python {on['python']}", f"torch {on['torch']}",
             on["date"]]  # fmt: skip
    if on["peak_tflops"]:
        words.append(f"peak taken as {on['peak_tflops']:g} TFLOP/s")
    if on.get("matmul_tflops"):
        words.append(f"a large matrix product reaches {on['matmul_tflops']:.0f} TFLOP/s")
    blocks = [f"{', '.join(words)}."]
    for name, part in found.items():
        blocks += TABLES[name](part) if "error" not in part else [f"{name}: {part['error']}"]
    return "\n\n".join(blocks)


def paper_table(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the training step's table."""
    sides = " x ".join(map(str, part["latents"]))
    yield (f"A training step of {part['parameters']:,} parameters, latents of {sides}, "
           f"{part['forward_flops_a_sample'] / 1e12:.3g} TFLOP forward a sample:")  # fmt: skip
    rows = []
    for case in part["cases"]:
        name = f"{case['micro_batch']}{', checkpointing' * case['gradient_checkpointing']}"
        if "error" in case:
            rows.append(failed(name, case["error"], PAPER_HEADER))
            continue
        rows.append([name, f"{case['ratio']:.3f}",
                     f"{case['ratio_low']:.3f} to {case['ratio_high']:.3f}",
                     duration(case["seconds"]), shown(case["predicted_seconds"]),
                     f"{case['samples_a_second']:.3g}", percent(case["utilisation"]),
                     gigabytes(case["peak_bytes"]), gigabytes(case["predicted_bytes"])])
    yield markdown(PAPER_HEADER, rows)


def finetune_table(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of fine-tuning."""
    done = [case for case in part["cases"] if "error" not in case]
    if done:
        first = done[0]
        yield (f"A step of fine-tuning {first['shape']}, {first['weights']:,} weights with a LoRA "
               f"of rank {first['lora_rank']}, {first['frames']} frames of "
               f"{' x '.join(map(str, first['size']))} pixels, {first['tokens']} tokens, gradient "
               "checkpointing:")  # fmt: skip
    rows = []
    for case in part["cases"]:
        name = {"full": "bfloat16"}.get(case["storage"], case["storage"])
        if "error" in case:
            rows.append(failed(name, case["error"], FINETUNE_HEADER))
            continue
        rows.append([name, duration(case["seconds"]), shown(case["predicted_seconds"]),
                     f"{case['flops'] / 1e12:.4g}", percent(case["utilisation"]),
                     gigabytes(case["peak_bytes"]), gigabytes(case["predicted_bytes"])])
    yield markdown(FINETUNE_HEADER, rows)


def loss_table(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the loss's line."""
    share = part["share_of_a_paper_step"]
    yield (f"The loss alone, forward and backward, {' x '.join(map(str, part['shape']))}: "
           f"{duration(part['seconds_motif'])}, {part['ratio']:.3f} times torch's mse_loss "
           f"({part['ratio_low']:.3f} to {part['ratio_high']:.3f})"
           + ("." if share is None else f"; what it adds is {share:.3%} of a step."))  # fmt: skip


def failed(name: str, error: str, header: Sequence[str]) -> list[str]:
    """Return a row that says why there are no figures."""
    words = error.splitlines()[0].split(". ")[0].replace("|", "/")
    return [name, words, *[""] * (len(header) - 2)]


def shown(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def percent(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"


def gigabytes(size: float | None) -> str:
    return "" if size is None else f"{size / 1e9:.1f} GB"


TABLES = {"paper": paper_table, "finetune": finetune_table, "loss": loss_table}

if __name__ == "__main__":
    main()
