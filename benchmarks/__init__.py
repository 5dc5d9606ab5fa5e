"""How fast the updates and the whole loop are, beside a plain reference and the arithmetic's limit.

`mbrl-taskmet benchmark` runs them; the tables in `results/` are its output.
"""
