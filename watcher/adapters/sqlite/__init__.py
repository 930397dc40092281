"""The outbox in one SQLite file: who writes, who reads, and what a commit holds."""
