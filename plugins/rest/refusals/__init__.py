"""What the records and the database refuse, in PostgREST's words."""
