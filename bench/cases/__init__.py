"""One module a comparison, or a family of them."""
