"""HTTP and composition: stands on everything else of `backend_sync`, and nothing imports it."""
