"""Adresseregisteret: which certificates and which queue belong to a HER-id."""
