"""Timings and memory of parts of the harness, each beside what it is compared with."""
