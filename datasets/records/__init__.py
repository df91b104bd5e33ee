"""TFRecords: written, checked, repaired, read."""
