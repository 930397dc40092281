"""The API of the admin server: its operations, their shapes, and what they are described by."""
