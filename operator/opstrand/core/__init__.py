"""Every decision, pure: no clock, no I/O. Read it upwards: `values`, `templates`, `resolving`,
`compiling`, `pods`, `validate_submission`, `lifecycle`.

What stands beside those folders is the vocabulary that all of them share: who a run is, its phases,
names and sizes.
"""
