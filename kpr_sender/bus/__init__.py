"""The municipality's connection to Tjenestebuss: the port, and its AMQP 1.0 implementation."""
