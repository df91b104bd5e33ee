"""Records to batches: where examples lie, and how they are augmented."""
