"""Where the log lies: the database, its schema, the recorder and the vaults. What is committed here has happened."""
