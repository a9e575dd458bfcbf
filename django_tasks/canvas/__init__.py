"""Workflows as values: signatures, and what is composed of them. Nothing here sends or runs anything itself.

Importing the modules makes their classes known to `Signature.from_dict`.
"""

from . import chain, chord, group, maps

__all__ = ["chain", "chord", "group", "maps"]
