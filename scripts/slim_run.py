"""Copy a run of `motifocal train` without what only resuming needs: small enough to send around.

    python scripts/slim_run.py out/run slim/run

The copy has the settings, the logs, the learning curve and, in half precision, the averaged
weights of the newest checkpoint: all that `bundle`, `figure6` and `scenes probe` read. It cannot be
resumed.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from motifocal.scenes.evaluation.probe_table import PROBE_TABLE
from motifocal.training.checkpoint import load_checkpoint, save_checkpoint
from motifocal.training.folders import check_run

KEPT = ("training.json", "inputs.json", "run.toml", "log.jsonl", "held_out.jsonl", PROBE_TABLE)


def slim(run: Path, output: Path) -> None:
    """Write the copy to `output`, which must not be there. ValueError without a checkpoint."""
    check_run(run)
    state = load_checkpoint(run / "checkpoints")
    if state is None:
        raise ValueError(f"{run} should hold a checkpoint, got none yet")
    output.mkdir(parents=True)
    for name in KEPT:
        if (run / name).exists():
            shutil.copy2(run / name, output / name)
    average = state["average"]
    average["shadow_params"] = [weight.half() for weight in average["shadow_params"]]
    save_checkpoint(output / "checkpoints", state["step"],
                    {"unet": {}, "average": average, "optimizer": {}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    slim(given.run, given.output)
    print(given.output)


if __name__ == "__main__":
    main()
