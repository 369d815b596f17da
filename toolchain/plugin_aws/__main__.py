"""`python -m toolchain.plugin_aws`: what the engine starts."""

from toolchain.plugin_aws.provider import serve

serve()
