"""Why a Pod does not run or did not succeed: from what Kubernetes reports to one reason. Pure."""
