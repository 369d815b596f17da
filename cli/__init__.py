"""What `make` calls: sets the machine up, then runs Pulumi; `python -m cli --help` lists it."""
