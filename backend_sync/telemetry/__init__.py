"""Sealed batches in, features out: ingest, the lake, and what is computed from it.

Place in the flow: broker → consumer → ingest → store (PostgreSQL) → lake (Parquet) → features.
"""
