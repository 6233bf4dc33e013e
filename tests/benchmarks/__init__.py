"""Measurements, side by side in one run; never a test. `make bench` prints the table."""
