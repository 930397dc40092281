"""Deliveries over HTTP/1.1, by a client of our own: a request is one write, an answer mostly one read.

What is here knows sockets, TLS and framing. What an answer means is decided in the core."""
