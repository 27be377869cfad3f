"""PostgreSQL's own functions and operators, as tables of signatures; one module to a subject."""
