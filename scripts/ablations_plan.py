"""What the ablations of docs/proof.md train: scenes, arms, seeds, and how large everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

# What weights the loss: heatmaps from optical flow, exact masks of all objects (what a segmenter
# would find), or heatmaps that count changes of colour as well. "score" stores a motion score too.
PIXELS = ("--evidence", "pixels", "--dis-preset", "medium")  # the default before regions were
MAPS = {"flow": PIXELS, "objects": ("--masks", "objects"), "change": (*PIXELS, "--change", "20"),
        "score": (*PIXELS, "--prior", "score")}
WORLDS = {
    "still": (),
    "calm": ("--background", "living", "--level", "calm"),
    "lively": ("--background", "living", "--level", "lively"),
    "hard": ("--difficulty", "hard"),
}
HELD_OUT = ("--split", "eval", "--seed", "1")  # clips of Figure 6, which no run trains on


@dataclass(frozen=True)
class Arm:
    """A setting that is compared: a name for files, one for tables, and what differs.

    `options` are of `train`. Runs that are another experiment's as well are that one's, `runs_of`.
    """

    key: str
    label: str
    settings: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    runs_of: str = ""
    maps: str = "flow"
    seeds: int = 3
    sampled: tuple[str, ...] = ()  # END, HALF: when videos are sampled, too


# After which part of the training videos are sampled, with the words for it.
END, HALF = "end", "half"
WHEN = {HALF: "after half of the training", END: "at the end"}
PLAIN = Arm("lambda0", "λ = 0", ("motif_weight=0",), seeds=5, sampled=(END,))
MOTIF = Arm("lambda1", "λ = 1 (the paper's)", seeds=5, sampled=(END,))
# They put more weight on what moves.
NORMALISED = Arm("normalised", "normalised", ("motif_variant=normalised",))
LAMBDA5 = Arm("lambda5", "λ = 5", ("motif_weight=5",))
ALL_ARMS = (
    *(replace(arm, sampled=(HALF, END)) for arm in (PLAIN, MOTIF)),
    NORMALISED,
    LAMBDA5,
    Arm("inverse", "inverse", ("motif_variant=inverse",)),
    Arm("objects", "masks of all objects", maps="objects"),
    Arm("lambda2", "λ = 2", ("motif_weight=2",)),
    Arm("lambda05", "λ = 0.5", ("motif_weight=0.5",)),
    Arm("change", "λ = 1, heatmap with change of colour", maps="change"),
)
# Losses of other papers on lively scenes, beside the two arms that are trained there already.
LOSSES = (
    *(replace(arm, seeds=3, sampled=(), runs_of="lively") for arm in (PLAIN, MOTIF)),
    Arm("difference", "difference of frames (VideoX-Fun)", ("motif_variant=difference",)),
    Arm("dynamics", "dynamics enhancement (Vista)", ("motif_variant=dynamics",)),
    Arm("dynamics-rms", "dynamics enhancement, corrected", ("motif_variant=dynamics-rms",)),
    Arm("consistency", "dynamics consistency (ReSim)", ("motif_variant=consistency",)),
    Arm("discrepancy", "latent discrepancy (our reading of LTD)", ("motif_variant=discrepancy",)),
    Arm("drift", "motion drift (LaMo)", ("motif_variant=drift",)),
)
ADAMW = ("optimizer=adamw",)
TWO = (PLAIN, MOTIF)
# With seeds 0 to 2 the normalised variant was ahead here: 3 and 4 are to confirm it.
HARD_ARMS = (*TWO, replace(NORMALISED, seeds=5, sampled=(END,)), LAMBDA5)
THREE_SEEDS = tuple(replace(arm, seeds=3, sampled=()) for arm in TWO)
# How the network sees the image: the paper's arms, all with its loss.
CONDITIONS = (
    replace(MOTIF, label="x-cat (the paper's)", seeds=3, runs_of="lively"),
    Arm("cross-attention", "cx-attn", options=("--image-condition", "cross-attention")),
    Arm("both", "both", options=("--image-condition", "both")),
)


def with_prior(prior: str, maps: str) -> tuple[Arm, ...]:
    """λ = 0 and 1 where the network has a motion prior as an input, and λ = 1 where it has none."""
    told = tuple(Arm(arm.key, f"{arm.label} with motion {prior}", arm.settings, ("--prior", prior),
                     maps=maps) for arm in TWO)
    return *told, replace(MOTIF, seeds=3, sampled=(), runs_of="lively")


@dataclass(frozen=True)
class Experiment:
    """A kind of scenes and a start, with the arms that are trained there.

    The others are compared with the first arm, and with `also_against` (the label of another) too.
    `times` as many steps are taken as usual. One with `accelerator` is left to GPUs: it is trained
    with `--device auto`, or where it is named.
    """

    key: str
    world: str
    arms: tuple[Arm, ...] = TWO
    settings: tuple[str, ...] = ()
    copier: bool = False
    also_against: str = ""
    size: int = 64
    times: int = 1
    accelerator: bool = False

    def probe_every(self, scale: Scale) -> int:
        """Steps between two points of the curve: twice the points where ten times the steps."""
        return scale.probe_every * max(1, self.times // 2)

    @property
    def scenes_options(self) -> tuple[str, ...]:
        """What tells `prepare scenes` and `scenes eval` of the kind of scenes."""
        return ("--size", str(self.size), *WORLDS[self.world])

    @property
    def scenes(self) -> str:
        """The scenes, and what else is not as in the first experiment, in words."""
        return (self.world + (f", {self.size} px" if self.size != 64 else "")
                + (", from a copier" if self.copier else "")
                + (", AdamW" if self.settings == ADAMW else "")
                + (f", {self.times} times the steps" if self.times != 1 else ""))


EXPERIMENTS = (
    Experiment("still", "still", ALL_ARMS, also_against=MOTIF.label),
    Experiment("lively", "lively"),
    Experiment("hard", "hard", HARD_ARMS, also_against=MOTIF.label),
    Experiment("calm", "calm", THREE_SEEDS),
    Experiment("copier", "still", THREE_SEEDS, copier=True),
    Experiment("adamw", "still", THREE_SEEDS, settings=ADAMW),
    Experiment("hard-128", "hard", THREE_SEEDS, size=128, accelerator=True),
    Experiment("still-long", "still", times=10, accelerator=True),
    Experiment("hard-long", "hard", times=10, accelerator=True),
    Experiment("losses", "lively", LOSSES, also_against=MOTIF.label),
    Experiment("conditioning", "lively", CONDITIONS),
    Experiment("score", "lively", with_prior("score", "score"), also_against=MOTIF.label),
    Experiment("mask", "lively", with_prior("mask", "flow"), also_against=MOTIF.label),
)


@dataclass(frozen=True)
class Scale:
    """How large everything is; the quick copy differs in nothing else."""

    clips: int
    held_out: int
    pairs: int
    steps: int
    probe_every: int
    copier_steps: int
    warmup: int
    sampling: int
    channels: str
    head_width: int
    experiments: tuple[str, ...]


FULL = Scale(2048, 96, 320, 800, 100, 200, 40, 20, "[32,64]", 16,
             tuple(e.key for e in EXPERIMENTS if not e.accelerator))
QUICK = Scale(32, 8, 16, 4, 2, 2, 1, 2, "[8,16]", 8, ("still", "copier"))
QUICK_ARMS = {"lambda0": 2, "lambda1": 2, "objects": 1, "cross-attention": 1, "both": 1,
              **{arm.key: 1 for arm in LOSSES[2:]}}


@dataclass(frozen=True)
class Job:
    """One run: an arm of an experiment with a seed."""

    experiment: Experiment
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        return run_name(self.experiment, self.arm, self.seed)

    def steps(self, scale: Scale, when: str = END) -> int:
        """How many steps of training there are until then."""
        return scale.steps * self.experiment.times // (2 if when == HALF else 1)

    @property
    def held_out_maps(self) -> str:
        """Which maps the clips of Figure 6 have: what moves is always told by flow."""
        return "score" if self.arm.maps == "score" else "flow"


def run_name(experiment: Experiment, arm: Arm, seed: int) -> str:
    """The folder of results and the name in it."""
    return f"{arm.runs_of or experiment.key}/{arm.key}-seed{seed}"


def samples_name(run: str, when: str) -> str:
    """The file, beside a run's curve, of the scores of videos that were sampled `when`."""
    return f"{run}.sampled{'' if when == END else f'-{when}'}.csv.gz"


def plan(scale: Scale, only: Sequence[str] = ()) -> list[Job]:
    """All runs, those first that decide most: λ = 0 and 1 of every experiment before other arms."""
    experiments = [e for e in EXPERIMENTS if e.key in (only or scale.experiments)]
    jobs = []
    for first in (True, False):
        for experiment in experiments:
            arms = _scaled_arms(experiment, scale)
            group = arms[:2] if first else arms[2:]
            most = max((arm.seeds for arm in group), default=0)
            jobs += [Job(experiment, arm, seed) for seed in range(most) for arm in group
                     if seed < arm.seeds]
    distinct: dict[str, Job] = {}
    for job in jobs:
        distinct.setdefault(job.name, job)
    return list(distinct.values())


def _scaled_arms(experiment: Experiment, scale: Scale) -> list[Arm]:
    """The arms of an experiment, those of the quick copy with its number of seeds."""
    if scale is not QUICK:
        return list(experiment.arms)
    return [replace(arm, seeds=1 if experiment.copier else QUICK_ARMS[arm.key],
                    sampled=tuple(when for when in arm.sampled if when == END))
            for arm in experiment.arms if arm.key in QUICK_ARMS]
