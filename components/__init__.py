"""The chapters of BEAMOps as Pulumi components, one file a chapter."""
