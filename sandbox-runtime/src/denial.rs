//! What a sandbox denied, for tests.
