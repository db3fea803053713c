"""EDI: mail out over SMTP, answers from a mailbox. An adapter, beside ``bus/``."""
