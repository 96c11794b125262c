"""Whether one end may open a connection to another, by which rule, and what is missing if not."""
