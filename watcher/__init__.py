"""Webhooks for an unmodified LibreChat: change streams in, signed events out, no gap."""

__version__ = "0.1.0"
