"""Looking at a dataset: contact sheets, charts, odd examples."""
