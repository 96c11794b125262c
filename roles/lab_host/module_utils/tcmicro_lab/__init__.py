"""The lab: a fleet of Debian hosts on one machine. Pure: model, plan, documents, apt, preflight. The rest acts."""
