"""The databases: tables, migrations, staging, receipts and publishing; the only room with SQL."""
