"""`python -m motifocal` is the command line."""

from motifocal.cli import main

main()
