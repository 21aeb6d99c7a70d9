"""One module per vendor. Clients know the vendor's API and nothing of the App Store's processes."""
