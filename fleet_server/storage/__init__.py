"""Tables and queries, one module a topic; `database` opens the store and `columns` holds the column types."""
