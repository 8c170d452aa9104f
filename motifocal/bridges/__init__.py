"""The same weights inside other people's trainers."""
