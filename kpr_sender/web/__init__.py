"""The page of all municipalities, read only: ``kpr-send fleet serve``. Whoever does not serve it loads none of it."""
