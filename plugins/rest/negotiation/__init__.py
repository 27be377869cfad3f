"""What a request asks for beside its query: media types, preferences, a part of the rows, settings of the database."""
