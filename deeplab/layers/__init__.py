"""Layers on tf.nn, with slim's variable names, and the scope that they need."""
