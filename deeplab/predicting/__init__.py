"""Any image to classes: one path for evaluation, inference and export."""
