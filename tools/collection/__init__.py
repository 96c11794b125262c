"""The collection as one file: plugins, roles, playbooks, and the pure part of the Python package that they import."""
