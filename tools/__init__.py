"""Programs around the harness that neither train nor evaluate."""
