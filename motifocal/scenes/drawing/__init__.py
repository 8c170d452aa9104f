"""How a synthetic scene is drawn: moving objects, backgrounds, temporal residue."""
