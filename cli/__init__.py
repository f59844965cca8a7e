"""The terminal edge: `./scim-ledger VERB`."""
