"""TI2V-Bench: pairs, running any model on them, checking, scoring, and looking at the result."""
