"""Benchmarks: what a load costs beside what Futu's limits force. Run with `make bench`; nothing here is product."""
