"""Guessing the row of an unknown folder."""
