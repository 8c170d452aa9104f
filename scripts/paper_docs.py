"""Write docs/paper.md: the paper's equations and settings, with the line and a command of each.

A row has what the paper says, what is here, a piece of the line that has it, and a command that
runs it. File and line are looked up, so they stay true: `make docs` writes the page and a test
compares; another test runs the commands.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "paper.md"
INTRODUCTION = """# The paper, line by line

*MotiF: Making Text Count in Image Animation with Motion Focal Loss*, Wang et al., CVPR 2025, arXiv
2412.16153. Made by `make docs`; do not edit. **Ours** marks what the paper leaves open. The
commands take captioned clips (`clips/`), a model folder (`base/`, as `motifocal base` or
`motifocal import` writes it) and what other commands have written, and
`tests/project/test_paper_commands.py` runs each of them on small stand-ins. Whether the method
helps is measured by `runs/ablations.sh` ([Does the loss help?](proof.md)).
"""

TRAIN = "motifocal train shards/ -o run/ --model base/ --preset paper"
PREPARE = "motifocal prepare clips/ -o clip-shards/ --model base/"
HEATMAP = "motifocal heatmap clips/ -o maps/"
ANIMATE = 'motifocal animate picture.png "the balloon rises"'

#: title -> rows of (what the paper has, what is here, where to look under motifocal/: a folder or
#: a file, a piece of the line, a command that runs it)
TABLES: dict[str, list[tuple[str, str, str, str, str]]] = {
    "The motion focal loss": [
        ("L = L_diffusion + λ L_motif", "λ is `weight`; λ = 0 leaves the plain loss, bit for bit",
         "loss", "total = diffusion if weight == 0 else", TRAIN),
        ("L_diffusion = E‖ε − ε_θ‖²", "squared error, mean over all but the batch", "loss",
         "diffusion = error.mean(inner)", TRAIN + " --set motif_weight=0"),
        ("L_motif = E‖m′ · (ε − ε_θ)‖²", "m′ inside the square", "loss",
         "energy * heatmap.square()", TRAIN),
        ("λ = 1; ablation 0.5, 1, 2, 5", "`motif_weight`", "training", "motif_weight=1.0",
         TRAIN + " --set motif_weight=2"),
        ("ablation: inverse MotiF, weight 1 − m", '`variant="inverse"`', "loss", "def _inverse(",
         TRAIN + " --set motif_variant=inverse"),
        ("ablation: no MotiF", '`variant="none"`, or λ = 0', "loss", "def _none(",
         TRAIN + " --set motif_variant=none"),
        ("—", "**Ours**: variant normalised by the heatmap's mass", "loss", "def _normalised(",
         TRAIN + " --set motif_variant=normalised"),
        ("—", "other papers: VideoX-Fun, Vista, ReSim, LaMo, LTD ([losses.md](losses.md))",
         "loss", "NEIGHBOURS: dict", TRAIN + " --set motif_variant=dynamics-rms"),
    ],
    "The motion heatmap": [
        ("optical flow between consecutive frames (RAFT)",
         "`source`: DIS embedded, Farnebäck, RAFT as an extra", "motion", "ESTIMATORS: dict",
         "motifocal heatmap clips/ -o maps/ --source raft-large --raft-weights raft.pth"),
        ("ablation: heatmap from segmentation masks",
         "`motifocal heatmap --masks`, of any segmenter", "motion", "def mask_heatmap(",
         "motifocal prepare clips/ -o masked/ --model base/ --masks masks/ --objects all"),
        ("magnitude f_l", "Euclidean length, pixels a frame", "motion/heatmap.py", "lengths(x, y",
         HEATMAP),
        ("σ(x) = 1 / (1 + e^{100 (0.05 − x)})", "`slope` and `threshold`", "motion", "def _sigma(",
         HEATMAP + " --slope 100 --threshold 0.05"),
        ("the unit of x is not stated", "**Ours**: a setting, its default measured in heatmap.md",
         "motion", "UNITS: dict", HEATMAP + " --unit fraction"),
        ("—", "**Ours**: the last frame repeats the map before it (F − 1 flows for F frames)",
         "motion", "heat[-1] = heat[-2]", HEATMAP + " --overlay"),
        ("m′: m downsampled to the latent's size",
         "area mean; maximum over the frames that a latent covers (**ours**)", "loss", "def pool(",
         PREPARE),
    ],
    "The network": [
        ("VideoCrafter2's latent 3-D U-Net", "`VIDEOCRAFTER2`, of diffusers' class", "models",
         "VIDEOCRAFTER2 =", "motifocal train --preset paper --dry-run --cost"),
        ("FPS embedded like the timestep", "a second sinusoid and MLP, added to the first",
         "models/unet.py", "fps_embedding", ANIMATE + " --fps 8"),
        ("image condition x-cat: first latent, repeated, on the channels",
         "4 → 8 input channels, the new ones zero at first", "models/unet.py", "image_latent",
         TRAIN + " --image-condition concat"),
        ("image condition cx-attn, and both",
         "`train --image-condition cross-attention` or `both`: keys and values of their own",
         "models", "class ImageTokenProcessor(", TRAIN + " --image-condition both"),
        ("motion priors as inputs: a motion score",
         "`train --prior score`; our reading: the mean flow over the diagonal, on a curve to 1",
         "motion", "def motion_score(", TRAIN + " --prior score"),
        ("motion priors as inputs: a motion mask",
         "`train --prior mask`: the heatmap's union over time, on one more input channel", "data",
         "def motion_mask(", TRAIN + " --prior mask"),
        ("text: OpenCLIP ViT-H by cross-attention", "penultimate layer, final norm, 77 tokens",
         "models", "def encode_text(", ANIMATE),
        ("VAE: Stable Diffusion's, 8×, factor 0.18215", "frame by frame", "models", "def encode(",
         PREPARE),
        ("released weights", "all 2039 names onto the diffusers layout", "models",
         "def import_videocrafter2(", "motifocal import videocrafter2 model.ckpt videocrafter2/"),
        ("compared with: DynamiCrafter, VideoCrafter1-I2V",
         "network, image encoder, resampler and sampler as released, imported name by name",
         "models", "def import_dynamicrafter(",
         "motifocal import dynamicrafter model.ckpt dynamicrafter/"),
    ],
    "Training": [
        ("the step", "fits on a screen", "training", "def training_step(", TRAIN),
        ("v-prediction", "", "training", 'prediction_type="v_prediction"',
         TRAIN + " --set prediction_type=v_prediction"),
        ("linear schedule, 1000 steps", "linear in the square root, 0.00085 to 0.012", "models",
         'beta_schedule: str = "scaled_linear"', TRAIN + " --set zero_terminal_snr=false"),
        ("base weights trained with `use_scale`", "x0 × (1 → 0.7) over t < 400", "models",
         "torch.linspace(1.0, x0_scale_end", TRAIN + " --set use_scale=true"),
        ("text dropped 10 %", 'replaced by the features of ""', "training", "text_dropout=0.1",
         TRAIN + " --set text_dropout=0.1"),
        ("learning rate 5e-5", "", "training", "learning_rate=5e-5",
         TRAIN + " --set learning_rate=5e-5"),
        ("batch 64", "any micro-batch, by accumulation", "training", "global_batch=64",
         TRAIN + " --set micro_batch=4"),
        ("32 000 steps", "", "training", "steps=32_000", TRAIN + " --set steps=32000"),
        ("dynamic frame stride", "drawn per clip among those that fit", "data",
         "def dynamic_stride(", PREPARE + " --strides all --windows all"),
        ("Figure 6: loss where it moves ÷ mean loss, per timestep",
         "moving: heatmap > 0.5 (**ours**)", "training", "def evaluate_loss_ratio(",
         "motifocal figure6 run/ held-out/ -o figure/ --text base/"),
    ],
    "Sampling": [
        ("DDIM, 50 steps", "diffusers' scheduler with the x0 factor", "models",
         "sample_steps: int = 50", ANIMATE + " --steps 50"),
        ("guidance 7.5", "both branches in one batch; the image stays in both", "models",
         "sample_guidance: float = 7.5", ANIMATE + " --guidance 7.5"),
    ],
    "TI2V-Bench": [
        ("file names `<image id>_<slug>_<seed>.mp4`", "lower case, spaces to _, no punctuation",
         "files", "def slug(",
         "motifocal bench ingest outputs/motif --bench TI2V-Bench --name MotiF -o results/motif"),
        ("22 scenarios, 88 images, 133 prompts, 320 pairs",
         "a table with other counts is refused, unless it is named as another benchmark", "bench",
         "PAPER = {", "motifocal bench run --bench TI2V-Bench --model bundled -o results/bundled"),
    ],
    "Animate Bench": [
        ("105 cases: 7 models × 5 images × 3 prompts",
         "read from the folder that its authors publish", "bench", "CASES = {",
         "motifocal bench run --bench AnimateBench --model bundled -o results/animate"),
        ("image alignment and text alignment by CLIP; still images: 99.29, 66.24",
         "plain cosines; how they compare with the paper's scale is in metrics.md", "bench",
         "alignment = float(_cosines(",
         "motifocal bench score results/ours --clip clip/ -o scores"),
    ],
    "The human study": [
        ("choose the better video, then justify: four reasons",
         "the choice first, at least one reason as a second step", "study", "REASONS = (",
         "motifocal study create --a results/ours --b results/cinemo -o study.db --votes 5"),
        ("TI2V score: pairs won by the majority of five",
         "printed beside the raw share of votes, both with intervals over images", "study",
         "def majority(", "motifocal study report study.db -o report"),
    ],
}  # fmt: skip


def document() -> str:
    """Return the whole page. Raises ValueError where a row's piece of code is not found."""
    parts = [INTRODUCTION]
    for title, rows in TABLES.items():
        parts += [f"## {title}\n", "| the paper | here | where | command |", "| --- " * 4 + "|"]
        parts += [
            f"| {paper} | {here} | {link(place, piece)} | `{command}` |"
            for paper, here, place, piece, command in rows
        ]
        parts.append("")
    return "\n".join(parts)


def link(place: str, piece: str) -> str:
    """A link to the first line with a piece of code, in the one file of `place` that has it."""
    package = ROOT / "motifocal"
    top = package / place
    files = [top] if top.is_file() else sorted(top.rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    holding = [path for path, text in texts.items() if piece in text]
    if len(holding) != 1:
        raise ValueError(
            f"{piece!r} should be in one file of motifocal/{place}, is in {len(holding)}; "
            "mend scripts/paper_docs.py"
        )
    name = holding[0].relative_to(package).as_posix()
    number = texts[holding[0]].partition(piece)[0].count("\n") + 1
    return f"[{name}:{number}](../motifocal/{name}#L{number})"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
    print(PATH.relative_to(ROOT))
