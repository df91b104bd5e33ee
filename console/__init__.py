"""What every command shares and nothing of ours is below: choices, exit statuses, files, progress, processes."""
