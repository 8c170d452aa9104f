"""A table of the paper's equations and settings becomes docs/paper.md, with file and line of each.

A row says what the paper has, what is here, and a piece of the line that has it. The line numbers
are looked up, so they stay true: `make docs` writes the page and a test compares.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "paper.md"
INTRODUCTION = """# The paper, line by line

*MotiF: Making Text Count in Image Animation with Motion Focal Loss*, Wang et al., CVPR 2025, arXiv
2412.16153. Made by `make docs`; do not edit. **Ours** marks what the paper leaves open.
"""

#: title -> rows of (what the paper has, what is here, file under motifocal/, piece of the line)
TABLES: dict[str, list[tuple[str, str, str, str]]] = {
    "The motion focal loss": [
        (
            "L = L_diffusion + λ L_motif",
            "λ is `weight`; λ = 0 leaves the plain loss, bit for bit",
            "loss.py",
            "total = diffusion if weight == 0 else",
        ),
        (
            "L_diffusion = E‖ε − ε_θ‖²",
            "squared error, mean over all but the batch",
            "loss.py",
            "diffusion = error.mean(inner)",
        ),
        (
            "L_motif = E‖m′ · (ε − ε_θ)‖²",
            "m′ inside the square",
            "loss.py",
            "energy * heatmap.square()",
        ),
        (
            "λ = 1; ablation 0.5, 1, 2, 5",
            "`motif_weight`",
            "training/presets.py",
            "motif_weight=1.0",
        ),
        (
            "ablation: inverse MotiF, weight 1 − m",
            '`variant="inverse"`',
            "loss.py",
            "def _inverse(",
        ),
        ("ablation: no MotiF", '`variant="none"`, or λ = 0', "loss.py", "def _none("),
        ("—", "**Ours**: variant normalised by the heatmap's mass", "loss.py", "def _normalised("),
    ],
    "The motion heatmap": [
        (
            "optical flow between consecutive frames (RAFT)",
            "`source`: DIS embedded, Farnebäck, RAFT as an extra",
            "flow.py",
            "ESTIMATORS: dict",
        ),
        (
            "ablation: heatmap from segmentation masks",
            "`motifocal heatmap --masks`, of any segmenter",
            "masks.py",
            "def mask_heatmap(",
        ),
        ("magnitude f_l", "Euclidean length, pixels a frame", "heatmap.py", "np.hypot("),
        (
            "σ(x) = 1 / (1 + e^{100 (0.05 − x)})",
            "`slope` and `threshold`",
            "heatmap.py",
            "def _sigma(",
        ),
        (
            "the unit of x is not stated",
            "**Ours**: a setting, its default measured in heatmap.md",
            "heatmap_settings.py",
            "UNITS: dict",
        ),
        (
            "—",
            "**Ours**: the last frame repeats the map before it (F − 1 flows for F frames)",
            "heatmap.py",
            "heat[-1] = heat[-2]",
        ),
        (
            "m′: m downsampled to the latent's size",
            "area mean; maximum over the frames that a latent covers (**ours**)",
            "geometry.py",
            "def pool(",
        ),
    ],
    "The network": [
        (
            "VideoCrafter2's latent 3-D U-Net",
            "`VIDEOCRAFTER2`, of diffusers' class",
            "models/unet_config.py",
            "VIDEOCRAFTER2 =",
        ),
        (
            "FPS embedded like the timestep",
            "a second sinusoid and MLP, added to the first",
            "models/unet.py",
            "fps_embedding",
        ),
        (
            "image condition x-cat: first latent, repeated, on the channels",
            "4 → 8 input channels, the new ones zero at first",
            "models/unet.py",
            "image_latent",
        ),
        (
            "image condition cx-attn, and both",
            "image tokens after the text tokens",
            "models/unet.py",
            "image_tokens",
        ),
        (
            "text: OpenCLIP ViT-H by cross-attention",
            "penultimate layer, final norm, 77 tokens",
            "models/text.py",
            "def encode_text(",
        ),
        (
            "VAE: Stable Diffusion's, 8×, factor 0.18215",
            "frame by frame",
            "models/autoencoder.py",
            "def encode(",
        ),
        (
            "released weights",
            "all 2039 names onto the diffusers layout",
            "models/weights.py",
            "def import_videocrafter2(",
        ),
    ],
    "Training": [
        ("the step", "fits on a screen", "training/step.py", "def training_step("),
        ("v-prediction", "", "training/presets.py", 'prediction_type="v_prediction"'),
        (
            "linear schedule, 1000 steps",
            "linear in the square root, 0.00085 to 0.012",
            "models/schedule.py",
            'beta_schedule: str = "scaled_linear"',
        ),
        (
            "base weights trained with `use_scale`",
            "x0 × (1 → 0.7) over t < 400",
            "models/schedule.py",
            "torch.linspace(1.0, x0_scale_end",
        ),
        (
            "text dropped 10 %",
            'replaced by the features of ""',
            "training/presets.py",
            "text_dropout=0.1",
        ),
        ("learning rate 5e-5", "", "training/presets.py", "rate=5e-5"),
        ("batch 64", "any micro-batch, by accumulation", "training/presets.py", "global_batch=64"),
        ("32 000 steps", "", "training/presets.py", "steps=32_000"),
        (
            "dynamic frame stride",
            "drawn per clip among those that fit",
            "data/frame_stride.py",
            "def dynamic_stride(",
        ),
        (
            "Figure 6: loss where it moves ÷ mean loss, per timestep",
            "hot: heatmap > 0.5 (**ours**)",
            "training/figure6.py",
            "def evaluate_loss_ratio(",
        ),
    ],
    "Sampling": [
        (
            "DDIM, 50 steps",
            "diffusers' scheduler with the x0 factor",
            "pipeline.py",
            "sample_steps: int = 50",
        ),
        (
            "guidance 7.5",
            "both branches in one batch; the picture stays in both",
            "pipeline.py",
            "sample_guidance: float = 7.5",
        ),
    ],
    "TI2V-Bench": [
        (
            "file names `<image id>_<slug>_<seed>.mp4`",
            "lower case, spaces to _, no punctuation",
            "scenes/evaluate.py",
            "def slug(",
        ),
        (
            "22 scenarios, 88 pictures, 133 sentences, 320 pairs",
            "a table with other counts is refused, or called one's own",
            "bench/pairs.py",
            "PAPER = {",
        ),
    ],
    "The human study": [
        (
            "choose the better video, then justify: four reasons",
            "the choice first, at least one reason as a second step",
            "study/votes.py",
            "REASONS = (",
        ),
        (
            "TI2V score: pairs won by the majority of five",
            "printed beside the raw share of votes, both with intervals over pictures",
            "study/shares.py",
            "def majority(",
        ),
    ],
}


def document() -> str:
    """The whole page. Raises ValueError where a row's piece of code is not there any more."""
    parts = [INTRODUCTION]
    for title, rows in TABLES.items():
        parts += [f"## {title}\n", "| the paper | here | where |", "| --- | --- | --- |"]
        parts += [
            f"| {paper} | {here} | {place(file, piece)} |" for paper, here, file, piece in rows
        ]
        parts.append("")
    return "\n".join(parts)


def place(file: str, piece: str) -> str:
    """A link to the first line of a file that holds a piece of code."""
    lines = (ROOT / "motifocal" / file).read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if piece in line:
            return f"[{file}:{number}](../motifocal/{file}#L{number})"
    raise ValueError(f"motifocal/{file} should hold {piece!r}; mend scripts/paper_docs.py")


if __name__ == "__main__":
    PATH.write_text(document())
    print(PATH.relative_to(ROOT))
