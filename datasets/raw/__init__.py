"""Raw datasets: which files there are, and what images and labels say."""
