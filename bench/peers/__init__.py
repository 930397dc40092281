"""Others that post a change stream, each in an environment of its own (`make peers`), measured like us.

A driver does as that project's own documents say, set up to be at its best at single-event POSTs: what was
chosen stands in each. It is run as `python -m bench.peers.NAME URI DATABASE URL`, posts every insert into
`messages` from now on, and ends when it is killed. Only the standard library is shared."""
