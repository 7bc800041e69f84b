"""The commands: each builds its parts, runs them and closes them in reverse.

The only code that knows every part; it may import everything.
"""
