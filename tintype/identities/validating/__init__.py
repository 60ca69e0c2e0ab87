"""Can these pictures be trained on, and what should their sender know about them?

`validate` decodes every picture whole and writes it anew: upright, sRGB, at most 2048 pixels a
side, and nothing of what the file said of itself (no EXIF, no GPS). What cannot be trained on is
refused by name; what can, but may disappoint, is told as a Finding.

    Desk           who decodes next? Two threads, each with a child process
    Child          one such process, started anew when it dies or takes too long
    decoding.py    what runs there: Pillow and nothing of this server

Decoders are large programs in C that read bytes from strangers, so none runs in the server.
"""

from tintype.identities.validating.image_set import Finding, ImageSet, ValidImage, validate

__all__ = ["Finding", "ImageSet", "ValidImage", "validate"]
