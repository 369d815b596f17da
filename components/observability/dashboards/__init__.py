"""Dashboards of Grafana, as data: a module a subject."""
