"""Rules of other firewalls as tcmicro policies, and a list of everything that could not be carried over. Pure."""
