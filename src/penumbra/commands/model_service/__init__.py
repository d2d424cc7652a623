"""The service behind `penumbra serve-model`: one resident version that answers features, patients of the store, and zips of scans over HTTP."""
