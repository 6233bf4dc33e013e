"""Every way in which one answer of Linq can go wrong, at every endpoint and page, and what a sync makes of it.

`python -m tests.faults` plays the whole matrix and writes tests/reports/fault_matrix.md; the tests play a part of it.
"""
