"""What was written: the models of the polyaxonfile, its readers, and the CRDs. Pure."""
