"""`motifocal study`: plan, create, serve and report a human study."""

from __future__ import annotations

import click

from motifocal.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "plan": ("study.plan", "plan", "What a study would take, and what it could show."),
    "create": ("study.create", "create", "Put two or more models' videos into one study file."),
    "serve": ("study.serve", "serve", "Show a study to annotators, and its progress to you."),
    "report": ("study.report", "report", "Make scores, intervals, tests and tables of the votes."),
    "export": ("study.export", "export", "Write the votes as JSONL, with hashed annotator ids."),
    "import": ("study.import_", "import_", "Import answers that were given without a server."),
    "reopen": ("study.reopen", "reopen", "Offer votes that were excluded to other annotators."),
    "validate": ("study.validate", "validate", "List contradictions in a file of votes."),
    "simulate": ("study.simulate", "simulate", "Simulate votes with known preferences."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="""\b
Examples:
  motifocal study plan --pairs 320 --models 9 --votes 5
  motifocal study create --a results/ours --b results/theirs --votes 5 -o study.db
  motifocal study serve study.db
  motifocal study report study.db -o report
""")
def study() -> None:
    """Ask people which of two videos is better, and why.

    The paper's protocol: two videos of the same image and prompt side by side, first an overall
    choice, then its reasons; several people per pair, none of whom can tell which model made which
    video.
    """
