"""Makes a fresh machine ready: what Debian has to give, a virtual environment in step with the lock, a TLS-less proton."""
