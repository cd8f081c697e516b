//! Store and search: schema, shards, query language.
