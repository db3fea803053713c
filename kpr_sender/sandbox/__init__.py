"""A Tjenestebuss with a KPR receiver and an Adresseregister, on this machine, for rehearsals and tests."""
