"""Probes: small Cython modules that cimport C-level internals and show them to the tests. Never shipped."""
