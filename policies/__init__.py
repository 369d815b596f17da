"""The policy pack: what every preview and every update has to keep to."""
