"""docs/tutorial.md as a program: what it tells people to type, typed in order."""
