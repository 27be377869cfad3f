"""From a query's template to one statement."""
