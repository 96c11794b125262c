"""Pictures of the dashboards, with what a lab's Prometheus answers to their queries."""
