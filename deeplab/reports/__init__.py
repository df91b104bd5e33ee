"""What was measured, shown: tables, pages, curves."""
