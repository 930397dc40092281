"""What is measured: whole processes on a real MongoDB, never inside tests. `make bench` prints and keeps it.

Machines are noisy: quote ratios of one run, and medians of several. What came out: docs/PERFORMANCE.md."""
