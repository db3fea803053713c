"""Adresseregisteret: who a party is, its queues and its certificates."""
