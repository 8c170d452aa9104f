"""The commands behind `motifocal`, one file each, imported only when they are called."""
