"""HTTP for the admin server: requests read whole, answers written whole, over httptools' parser.

A framework would be a quarter of the sidecar's memory for a handful of paths. What never lives here: what a
path means, and who may ask for it."""
