"""What Kubernetes itself accepts: keys, values, names and cross-field rules."""
