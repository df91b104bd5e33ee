"""The model: backbones, nets and what trains them."""

__version__ = '0.2.0'  # pyproject.toml reads it, and a test holds CITATION.cff and CHANGELOG.md to it
