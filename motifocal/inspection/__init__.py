"""A folder of clips becomes a report of what is in it and what is wrong, before training on it."""
