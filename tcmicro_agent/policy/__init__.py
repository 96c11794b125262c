"""What a policy means, from YAML over the inventory to one decision. Pure: no files, no clock, no kernel."""
