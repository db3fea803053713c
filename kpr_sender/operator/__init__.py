"""What a person asks, decides and notes beside a delivery: self-checks, certificates, decisions, test persons."""
