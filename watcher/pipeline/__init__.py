"""Two loops and one wall. Capture fills the outbox and never knows a receiver is slow; dispatch empties it
and never knows MongoDB exists. Nothing here imports an adapter: the outside arrives through ports."""
