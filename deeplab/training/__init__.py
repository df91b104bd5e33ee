"""Training: the Estimator, its input, its hooks, its model_dir."""
