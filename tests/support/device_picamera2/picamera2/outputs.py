"""The stand-in's Output."""

# mypy: ignore-errors


class Output:
    def __init__(self, pts=None):
        self.recording = False

    def start(self):
        self.recording = True

    def stop(self):
        self.recording = False
