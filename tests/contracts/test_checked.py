"""deeplab/reports/checked.json names the rows whose model the oracle has recorded, and no other."""

from deeplab.reports import status
from tests.deeplab.checked import recordings


def test_the_file_is_what_the_recordings_say():
    """`python -m tests.deeplab.checked` writes it; test_oracle.py compares the outputs of each configuration."""
    found = recordings()
    assert len(found) > 30 and status.checked() == found
    assert not [row for row, configurations in found.items() if not 1 <= len(configurations) <= 2]
