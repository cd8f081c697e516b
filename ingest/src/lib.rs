//! Bytes in, batches out: listeners, the log, decoders.

pub mod capture;
pub mod decode;
pub mod listen;
pub mod log;
mod packet;
mod table_head;
