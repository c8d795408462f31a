"""Find one reason why a Pod does not run or did not succeed, from Kubernetes' reports. Pure."""
