"""Print a report of `motifocal inspect` as tables: totals, and the worst clips.

Names and captions are other people's: they are printed as text, without control characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from motifocal.cli.output.console import table_console

#: Clips that are named, the worst first; inspect.html has them all.
MOST_NAMED = 20
_WORDS = 110  # characters of one fault
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan", "good": "green"}
_BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_TENTHS = 10  # bars of the distribution


def report_text(report: Mapping[str, Any]) -> str:
    """Return what was found as it is printed, with ANSI codes on a terminal."""
    console = table_console(160)
    with console.capture() as captured:
        console.print(_headline(report))
        for line in report["advice"]:
            console.print(Text(clean(line), style=_STYLES["warning"]))
        if report["summary"]["by_fault"]:
            console.print(_sums(report))
            console.print(_worst(report))
        if any(clip["moving_fraction"] is not None for clip in report["clips"]):
            console.print(_distribution(report["clips"]))
    return captured.get()


def _headline(report: Mapping[str, Any]) -> Text:
    summary = report["summary"]
    text = Text(f"{clean(report['title'])}: {summary['clips']} clips, ")
    text.append(f"{summary['good']} without a fault", style=_STYLES["good"])
    text.append(
        f", {summary['seconds']:.1f} s; {summary['trained_samples']} samples of "
        f"{summary['trained_frames']} frames to train on\n"
        f"captions: {clean(report['settings']['format'])}"
    )
    return text


def _sums(report: Mapping[str, Any]) -> Table:
    table = Table("level", "fault", Column("clips", justify="right"), "", title="faults",
                  title_justify="left")
    counts = report["summary"]["by_fault"]
    order = list(_STYLES)
    for code in sorted(counts, key=lambda code: order.index(report["faults"][code]["level"])):
        fault = report["faults"][code]
        level = Text(fault["level"], style=_STYLES[fault["level"]])
        table.add_row(level, fault["title"], str(counts[code]), fault["help"])
    return table


def _worst(report: Mapping[str, Any]) -> Table:
    """Make a table of the clips with the worst faults, those with the most of them first."""
    order = list(_STYLES)
    bad = [clip for clip in report["clips"] if clip["faults"]]
    bad.sort(key=lambda clip: (order.index(clip["level"]), -len(clip["faults"])))
    title = f"clips with faults{f', {MOST_NAMED} of {len(bad)}' if len(bad) > MOST_NAMED else ''}"
    table = Table("clip", "what", title=title, title_justify="left")
    for clip in bad[:MOST_NAMED]:
        faults = sorted(clip["faults"],
                        key=lambda fault: order.index(report["faults"][fault["code"]]["level"]))
        words = "\n".join(_short(clean(fault["words"])) for fault in faults)
        table.add_row(Text(clean(clip["name"]), style=_STYLES[clip["level"]]), Text(words))
    return table


def _short(words: str) -> str:
    return words if len(words) <= _WORDS else f"{words[: _WORDS - 2]} \u2026"


def _distribution(clips: Sequence[Mapping[str, Any]]) -> Text:
    """Show how many clips have which moving fraction, in tenths."""
    fractions = sorted(clip["moving_fraction"] for clip in clips
                       if clip["moving_fraction"] is not None)
    counts = Counter(min(int(share * _TENTHS), _TENTHS - 1) for share in fractions)
    most = max(counts.values())
    bars = "".join(
        _BARS[max(0, -(-counts[tenth] * len(_BARS) // most) - 1)] if counts[tenth] else " "
        for tenth in range(_TENTHS)
    )
    return Text(
        f"moving fraction: 0 % |{bars}| 100 %, median {fractions[len(fractions) // 2]:.1%}, "
        f"least {fractions[0]:.1%}, most {fractions[-1]:.1%}"
    )


def clean(text: str) -> str:
    """Escape characters that do not show, such as those that would steer a terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
