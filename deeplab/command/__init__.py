"""Command lines: flags, and those of other systems."""
