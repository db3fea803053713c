"""Makes a fresh machine ready: Debian's part, a virtual environment in step with the lock, a TLS-less proton."""
