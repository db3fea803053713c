"""From the bus to a verdict: read our queues, open, verify and match what comes, copy receipts."""
