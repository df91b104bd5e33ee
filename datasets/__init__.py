"""The data of deeplab-harness: raw datasets, records and the input pipeline."""
