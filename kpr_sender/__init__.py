"""kpr-sender: hands a municipality's KPR data to FHI over NHN Tjenestebuss."""
