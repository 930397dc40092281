"""V8-safe JSON (see the helper's work)."""
