"""Stands in for libcamera's bindings, as far as the stand-in for picamera2 needs a name to import."""

# mypy: ignore-errors
