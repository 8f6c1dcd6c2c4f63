"""How fast the MoE layer is: against a dense layer, and against other libraries.

``python -m benchmarks --help``. README.md says how the numbers are taken.
"""
