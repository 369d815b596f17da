"""The HTTP interface: routes in, domain functions out."""
