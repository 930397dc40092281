"""MongoDB's home: the driver, BSON and the server's error codes live here and stop here.

Above this package there are plain Python values and the exceptions of `errors.py`. What never lives here:
what a change means (core), and when to try again (pipeline)."""

import sys

# The driver looks for PyOpenSSL, which its async side, ours, cannot use anyway. The look loads all of
# `cryptography`: 9 MB that only managed endpoints need. None: it finds nothing, and loads nothing.
sys.modules.setdefault("pymongo.pyopenssl_context", None)  # type: ignore[arg-type]
