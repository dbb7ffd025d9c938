"""One machine with a Docker daemon."""
