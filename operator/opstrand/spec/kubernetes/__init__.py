"""What Kubernetes accepts in its objects: keys, values, names and rules across fields."""
