"""The parameters, typed: what conf/ may say, with units, ranges and defaults.

Kedro validates annotated `params:` inputs with these models before a node runs.
Unknown keys are refused, so that a typo is an error and not a silent default.
The same defaults stand in conf/base, where users read them.
"""
