"""Class weights against the papers' formulas, worked out by hand."""

import math

import pytest

from datasets import class_weights


def test_enet_bounds_the_weights():
    assert class_weights.enet([100, 0]) == pytest.approx([1 / math.log(2.02), 1 / math.log(1.02)])


def test_median_frequency_is_one_for_the_median_class():
    # Shares 0.5, 0.2 and 0.1 of the images that show the class; the fourth is shown by none.
    found = class_weights.median_frequency([50, 10, 10, 0], [100, 50, 100, 0])
    assert found == pytest.approx([0.4, 1.0, 2.0, 0.0])
