"""`make format`: docs/errors.md, the page of every code, with an example that provokes it and what is said then."""
