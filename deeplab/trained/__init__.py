"""What is done with trained weights: evaluation, inference, submission, export."""
