"""From kopf's events to reconciled keys. The only importer of kopf; nothing is decided here."""
