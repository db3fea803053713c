"""Hodemelding, AppRec, error-queue messages and their AMQP properties: bytes in, values out, and back."""
