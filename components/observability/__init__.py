"""What is measured and who is told of it, as data: rules, alerts, and the configurations that carry them."""
