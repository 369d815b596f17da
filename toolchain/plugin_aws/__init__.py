"""A stand-in for Pulumi's AWS plugin: the resource types that BEAMOps uses, against an AWS API on loopback alone."""
