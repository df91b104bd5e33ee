"""What is timed, each in a process of its own: this harness, the official DeepLab, torch and its image libraries."""
