"""Real data that arrives with the package; nothing is downloaded."""
