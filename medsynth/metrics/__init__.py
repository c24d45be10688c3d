"""Arrays in, numbers out. No files, no torch."""
