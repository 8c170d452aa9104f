"""Diagnose the faults of an entry from its finding, each with the details for this clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from motifocal.inspection.checks.bars import SIDES
from motifocal.inspection.checks.caption_words import names_motion
from motifocal.inspection.entries import Entry
from motifocal.inspection.finding import Finding

#: Frames by which counting at the mean rate may be off: one that was dropped once is no harm.
MOST_DRIFT = 1.0
#: A clip may be enlarged by so much: a tenth more pixels along a side is what trainers' buckets,
#: which round sides to multiples of 16 or 32, do to clips of the very size asked for.
MOST_ENLARGED = 1.1
#: The least share of the frame to be left. 4:3 in 16:9 keeps 0.75, a square in it 0.56, an
#: upright clip in a wide one 0.32.
LEAST_KEPT = 0.6
#: The share that may move: with more, weighting hardly tells places apart.
MOST_MOVING = 0.5
#: The share of steps that may take a stored frame again: 24 frames/s trained on at 25 have 0.04.
MOST_BY_RATE = 0.05
#: The share of the frame that may be bars: a row or two, as of clips cropped to odd sizes.
MOST_BARS = 0.02


def diagnose(
    entry: Entry, finding: Finding | None, *, captioned: bool, frames: int, camera: bool = False
) -> list[tuple[str, str]]:
    """List (code, words) of what is wrong with a clip by itself; duplicates are found elsewhere.

    Args:
        finding: None where there was no file to look at.
        captioned: whether captions are written down at all; else nothing is said of them.
        frames: frames that a sample should have, for the words.
        camera: whether the camera's motion was taken out of the heat, for the words.
    """
    faults = list(entry.faults)
    if finding is not None:
        faults += [finding.problem] if finding.problem else _of_file(finding, frames, camera)
    if captioned and finding is not None:
        faults += _of_caption(entry)
    return faults


def _of_file(finding: Finding, frames: int, camera: bool) -> Iterator[tuple[str, str]]:
    yield from _of_samples(finding, frames)
    yield from _of_motion(finding, camera)
    yield from _of_repeats(finding)
    if finding.trained_cuts:
        yield "cut", _scenes(finding.trained_cuts, finding)
    elsewhere = tuple(cut for cut in finding.cuts if cut not in finding.trained_cuts)
    if elsewhere:
        yield "cut-elsewhere", _scenes(elsewhere, finding)
    if finding.frames is not None and finding.watched < finding.frames:
        yield "partly-checked", f"cuts were looked for in the first {finding.watched} frames"
    yield from _of_image(finding)


def _of_motion(finding: Finding, camera: bool) -> Iterator[tuple[str, str]]:
    if finding.drift > MOST_DRIFT:
        yield "variable-rate", f"counting frames is off by {finding.drift:.1f} frames at worst"
    if finding.still:
        yield "static", f"nothing moves, or hardly: {finding.motion:.1f} % of the shorter side/s"
    elif finding.camera_only:
        yield "camera-only", f"only the camera moves, {finding.camera:.0f} % of the shorter side/s"
    if finding.most_moving == 0 and not finding.still and finding.fitting != 1:
        yield "too-little-motion", "nothing moves enough in the frames that are trained on"
    if finding.moving_fraction is not None and finding.moving_fraction > MOST_MOVING:
        way = "even without the camera's motion" if camera else "try --camera"
        yield "mostly-moving", f"{finding.moving_fraction:.0%} of the frame moves; {way}"


def _of_repeats(finding: Finding) -> Iterator[tuple[str, str]]:
    rate = finding.fps or 0.0
    if finding.by_rate > MOST_BY_RATE:
        share = f"{finding.by_rate:.0%} of the steps take the same frame again"
        yield "repeated-frames", f"{share}: the clip has {rate:g} frames/s, so --fps {rate:g}"
    if finding.still:  # it is all repeats, which has a name already
        return
    if finding.stored_repeats:
        share = f"{finding.stored_repeats:.0%} of the steps show the same image again"
        yield "stored-repeats", f"{share}: of {rate:g} frames/s about {finding.new_rate:g} are new"
    if finding.freeze:
        first, last = finding.freeze
        seconds = f" ({(last - first) / rate:.1f} s)" if rate else ""
        yield "freeze", f"frames {first}-{last}{seconds} show the same image"


def _of_image(finding: Finding) -> Iterator[tuple[str, str]]:
    width, height = finding.width or 0, finding.height or 0
    if finding.enlarged is not None and finding.enlarged > MOST_ENLARGED:
        yield "small", f"{width}x{height} is enlarged {finding.enlarged:.2f} times"
    if finding.kept is not None and finding.kept < LEAST_KEPT:
        yield "cropped", f"of {width}x{height}, {finding.kept:.0%} of the frame is left"
    if finding.turned:
        yield "rotated", f"shown as {width}x{height} by a display matrix that the trainer ignores"
    if finding.aspect:
        yield "non-square-pixels", f"pixels of {finding.aspect}, shown as {width}x{height}"
    if finding.transfer:
        yield "hdr", f"brightness is stored as {finding.transfer}"
    if finding.interlaced:
        yield "interlaced", "each frame is two fields, taken one after the other"
    if finding.transparent:
        yield "transparent", "frames have an alpha channel; they are measured on white"
    if width % 2 or height % 2:
        yield "odd-size", f"{width}x{height} pixels"
    if finding.bars > MOST_BARS:
        sides = [side for side, thick in zip(SIDES, finding.bar_sides, strict=True) if thick]
        yield "bars", f"{finding.bars:.0%} of what is trained on is bars ({', '.join(sides)})"
    factor = finding.blur or 1.0
    if factor > 1 and (finding.enlarged or 1.0) * factor > MOST_ENLARGED:
        detail = f"{width / factor:.0f}x{height / factor:.0f}"
        yield "blurred", f"{width}x{height} pixels show no more detail than {detail} could"


def _of_samples(finding: Finding, frames: int) -> Iterator[tuple[str, str]]:
    if not finding.sample_count:
        length = f"{finding.frames} frames, {finding.seconds:.2f} s at {finding.fps:g} frames/s"
        fits = f"; --frames {finding.fitting} would fit" if finding.fitting else ""
        yield "too-short", f"no sample of {frames} frames: it holds {length}{fits}"
    elif finding.shortest == 1 and frames > 1:
        yield "one-frame", f"it holds {finding.frames} frames, of which one is trained on"


def _scenes(cuts: tuple[int, ...], finding: Finding) -> str:
    named = ", ".join(str(cut) for cut in cuts[:8])
    more = f" and {len(cuts) - 8} more" if len(cuts) > 8 else ""
    first = f" ({cuts[0] / finding.fps:.2f} s)" if finding.fps else ""
    return f"a new scene begins at frame {named}{first if len(cuts) == 1 else more}"


def _of_caption(entry: Entry) -> Iterator[tuple[str, str]]:
    codes = {code for code, _ in entry.faults}
    if codes & {"no-caption", "damaged-row", "not-listed"}:
        return
    if entry.caption is None:
        yield "no-caption", "nothing is written down for it"
    elif not entry.caption:
        yield "no-caption", "the caption is empty"
    elif names_motion(entry.caption) is False:
        yield "no-motion-word", f"no word of motion in {entry.caption[:120]!r}"


def advice_on_frames(findings: Sequence[Finding], frames: int, *, is_default: bool) -> str | None:
    """Say what --frames would have to be where clips are too short for it; None where none is.

    Args:
        findings: of all clips that could be read.
        frames: the shortest sample that was asked for.
        is_default: whether that is the default.
    """
    read = [finding for finding in findings if finding.problem is None]
    short = [finding for finding in read if not finding.sample_count]
    fitting = sorted((finding.fitting for finding in short if finding.fitting), reverse=True)
    if not short:
        return None
    default = ", the default" if is_default else ""
    words = f"{len(short)} of {len(read)} clips are too short for --frames {frames}{default}"
    if not fitting:
        return f"{words}."
    most, all_of_them = fitting[(len(fitting) - 1) // 2], fitting[-1]
    taken = [finding for finding in short if (finding.fitting or 0) >= most]
    words += f"; {len(taken)} of them have {_stretch(taken)} frames: --frames {most}"
    if all_of_them < most:
        words += f" (--frames {all_of_them} for all {len(fitting)})"
    return f"{words}."


def _stretch(findings: Sequence[Finding]) -> str:
    """Format how many frames the clips have: "16", or "16 to 24"."""
    counts = sorted({finding.frames or 0 for finding in findings})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
