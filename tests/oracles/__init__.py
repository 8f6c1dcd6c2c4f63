"""The papers' algorithms once more, as loops over plain numbers.

Nothing here imports `moe_lib` or does tensor arithmetic: these are the independent
truth that the library is held against. They are slow and literal on purpose.
Tables are lists of `Row`, logits are lists of lists, one list per token.
"""
