"""What changes in meaning between two sets of bundles, and when."""
