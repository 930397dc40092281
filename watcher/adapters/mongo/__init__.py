"""MongoDB's home: the driver, BSON and the server's error codes live here and stop here.

Above this package there are plain Python values and the exceptions of `errors.py`. What never lives here:
what a change means (core), and when to try again (pipeline)."""
