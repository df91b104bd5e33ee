"""What a run is: recipes as data, and their schema. No TensorFlow."""
