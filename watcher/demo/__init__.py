"""The whole story on a bare machine: a private MongoDB, a stand-in for LibreChat's writes, a receiver and
the watcher. Nothing here is used by `run`, and nothing here outlives the process that started it."""
