"""TI2V-Bench: pairs, running any model on them, checking, scoring and displaying the results."""
