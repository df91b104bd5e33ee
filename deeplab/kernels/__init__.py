"""Kernels of our own, in C++ that is built at first use: what TensorFlow computes slowly on a CPU."""
