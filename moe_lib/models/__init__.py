"""Models of the course, one file each."""
