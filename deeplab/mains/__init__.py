"""The mains, as an installation has them: a checkout's are at the root, and pyproject.toml maps one to the other."""
