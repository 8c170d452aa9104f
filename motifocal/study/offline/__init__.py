"""Studies without a server: a folder of pages, and the votes that are returned."""
