"""The version alone, readable without importing Django."""

__version__ = "0.1.0.dev0"
