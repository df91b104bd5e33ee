"""Class weights from pixel counts, for losses that would otherwise forget rare classes."""

import math
import statistics
from collections.abc import Sequence


def enet(class_pixels: Sequence[int]) -> tuple[float, ...]:
    """1 / ln(1.02 + p), p the share of a class in all labelled pixels (ENet, arXiv:1606.02147, section 5)."""
    total = sum(class_pixels)
    return tuple(1 / math.log(1.02 + pixels / total) for pixels in class_pixels)


def median_frequency(class_pixels: Sequence[int], class_image_pixels: Sequence[int]) -> tuple[float, ...]:
    """median(f) / f, f the share of a class in the pixels of the images that show it; 0 for a class that none shows.

    `class_image_pixels` are those pixels (Eigen and Fergus, arXiv:1411.4734).
    """
    shares = [pixels / shown if shown else 0.0 for pixels, shown in zip(class_pixels, class_image_pixels, strict=True)]
    median = statistics.median(share for share in shares if share)
    return tuple(median / share if share else 0.0 for share in shares)
