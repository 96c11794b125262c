"""Grafana's dashboards as data, a module each, and what makes monitoring/dashboards of them."""
