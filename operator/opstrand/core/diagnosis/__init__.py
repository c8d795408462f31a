"""Find out why a Pod does not run or did not succeed: one reason from what Kubernetes reports.
Pure.
"""
