"""Turn kopf's events into keys to reconcile. The only importer of kopf; decides nothing."""
