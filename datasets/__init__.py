"""The data: raw datasets, records and the input pipeline."""
