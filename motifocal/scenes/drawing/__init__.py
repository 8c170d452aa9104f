"""How a synthetic scene is drawn: movers, backgrounds, temporal residue."""
