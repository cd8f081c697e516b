//! Bytes in, batches out: listeners, the log, decoders.
