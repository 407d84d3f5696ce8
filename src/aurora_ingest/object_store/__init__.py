"""One face of a folder, a bucket of Google Cloud Storage and one of S3: lakes, Parquet and intermediate files."""
