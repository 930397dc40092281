"""One home per library: what a port promises is kept here, and what a library calls its own stays here.

An adapter knows the core and the ports; it knows no other adapter, and nothing of the pipeline."""
