"""Views: made, and what lets rows be written through them."""
