"""Screens: `base` holds the scenes and the protocol, `hdmi` (SDL2) and `virtual` satisfy it; the rest draws.

May import ground modules; SDL2 only in `canvas`, `video_output` and `hdmi`, Pillow only where pictures are made.
"""
