"""Whether a certificate is trusted: who issued it, whether it is revoked, whose it is."""
