"""The loss in other trainers."""
