"""Run the command line: `python -m motifocal`."""

from motifocal.cli import main

main()
