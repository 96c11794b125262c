"""Who reaches whom, drawn."""
