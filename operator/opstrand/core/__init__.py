"""Every decision, pure: no clock, no I/O.

Read it upwards: `values`, `templates`, `resolving`, `compiling`, `planning`, `pods`, `diagnosis`,
`lifecycle`, `runtimes`, `decide`. The modules beside those folders are the vocabulary that all of
them share: who a run is, its phases, names and sizes.
"""
