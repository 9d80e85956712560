"""Measures sidefuse beside its peers: same machine, same upstream, same load, the same minute.

A noun per module. `command` reads the arguments; `tools` finds the programs; `stage` sets a `scenario` up with an `origin` and the
`peer`s, every one a `process`; `check` looks whether each of them does its work; `measure` puts `load` on them in turn; `table` prints.
"""
