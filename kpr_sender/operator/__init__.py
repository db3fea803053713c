"""What a person asks, decides and keeps beside a delivery: self-checks, certificates, decisions, test persons."""
