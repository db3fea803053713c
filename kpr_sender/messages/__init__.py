"""Hodemelding, AppRec, error-queue messages and the AMQP properties round them: bytes in, values out, and back."""
