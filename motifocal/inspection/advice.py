"""Advise on the settings that a folder was inspected with."""

from __future__ import annotations

from collections.abc import Sequence

from motifocal.inspection.finding import Finding


def advice_on_frames(
    findings: Sequence[Finding], frames: int, *, is_default: bool
) -> str | None:
    """Say what --frames would have to be where clips are too short for it; None where none is.

    Args:
        findings: of all clips that could be read.
        frames: the shortest sample that was asked for.
        is_default: whether nobody chose that.
    """
    read = [finding for finding in findings if finding.problem is None]
    short = [finding for finding in read if not finding.sample_count]
    fitting = sorted((finding.fitting for finding in short if finding.fitting), reverse=True)
    if not short:
        return None
    default = ", the default" if is_default else ""
    sentence = f"{len(short)} of {len(read)} clips are too short for --frames {frames}{default}"
    if not fitting:
        return f"{sentence}."
    most, all_of_them = fitting[(len(fitting) - 1) // 2], fitting[-1]
    taken = [finding for finding in short if (finding.fitting or 0) >= most]
    sentence += f"; {len(taken)} of them have {_stretch(taken)} frames: --frames {most}"
    if all_of_them < most:
        sentence += f" (--frames {all_of_them} for all {len(fitting)})"
    return f"{sentence}."


def _stretch(findings: Sequence[Finding]) -> str:
    """Format how many frames the clips have: "16", or "16 to 24"."""
    counts = sorted({finding.frames or 0 for finding in findings})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
