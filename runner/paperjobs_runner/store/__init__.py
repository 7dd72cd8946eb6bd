"""The database: papers, their authors and institutions, and which run wrote them. PostgreSQL and SQLite."""
