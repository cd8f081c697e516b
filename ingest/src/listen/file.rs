//! Lines of a file that grows, and of standard input.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::{Content, Frames, TenantId, Transport};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tracing::{info, warn};

use super::{Framer, Shared, count, head};

/// How often a file at its end is looked at again.
const POLL_TIME: Duration = Duration::from_millis(250);
/// How often the old file is looked at once a new one has its name.
const LAST_LOOKS: usize = 4;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Follows the file at `path` by name: when it is replaced or cut, the new one is read from its start.
pub(super) async fn follow(path: PathBuf, from_start: bool, tenant: TenantId, shared: Shared) {
    let mut from_start = from_start;
    let mut poll = tokio::time::interval(POLL_TIME);
    let mut warned = false;
    loop {
        match follow_one(&path, from_start, tenant, &shared).await {
            Ok(Ended::Stopped) => return,
            Ok(Ended::Replaced) => {
                info!(path = %path.display(), "a followed file was replaced");
                warned = false;
            }
            Err(error) => {
                if !warned {
                    warn!(path = %path.display(), %error, "cannot read a followed file; trying again");
                    warned = true;
                }
            }
        }
        from_start = true;
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = poll.tick() => {}
        }
    }
}

enum Ended {
    Stopped,
    Replaced,
}

async fn follow_one(path: &Path, from_start: bool, tenant: TenantId, shared: &Shared) -> io::Result<Ended> {
    let mut file = File::open(path).await?;
    let inode = file.metadata().await?.ino();
    let mut place = if from_start { 0 } else { file.seek(io::SeekFrom::End(0)).await? };
    let mut lines = Lines::new(tenant, Transport::File);
    let mut poll = tokio::time::interval(POLL_TIME);
    loop {
        match lines.read(&mut file, shared).await? {
            Some(0) => {}
            Some(got) => {
                place += got as u64;
                continue;
            }
            None => return Ok(Ended::Stopped),
        }
        let now = tokio::fs::metadata(path).await;
        if now.is_ok_and(|now| now.ino() != inode || now.len() < place) {
            // Whoever writes may have written after our last read, and may go on until it is told of the rotation.
            for _ in 0..LAST_LOOKS {
                poll.tick().await;
                while lines.read(&mut file, shared).await?.is_some_and(|got| got > 0) {}
            }
            lines.finish(shared).await;
            return Ok(Ended::Replaced);
        }
        tokio::select! {
            () = shared.stop.cancelled() => {
                lines.finish(shared).await;
                return Ok(Ended::Stopped);
            }
            _ = poll.tick() => {}
        }
    }
}

/// Reads standard input to its end.
pub(super) async fn stdin(tenant: TenantId, shared: Shared) {
    let mut input = tokio::io::stdin();
    let mut lines = Lines::new(tenant, Transport::Stdin);
    loop {
        match lines.read(&mut input, &shared).await {
            Ok(Some(0) | None) => break,
            Ok(Some(_)) => {}
            Err(error) => {
                warn!(%error, "failed to read standard input");
                break;
            }
        }
    }
    lines.finish(&shared).await;
}

/// Lines on their way from a reader to the log.
struct Lines {
    framer: Framer,
    buffer: Vec<u8>,
    tenant: TenantId,
    transport: Transport,
}

impl Lines {
    fn new(tenant: TenantId, transport: Transport) -> Lines {
        Lines { framer: Framer::lines(), buffer: vec![0; READ_BYTES], tenant, transport }
    }

    /// Reads once and gives whole lines to the log: how many bytes were read, or none where the listener is to stop.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin), shared: &Shared) -> io::Result<Option<usize>> {
        let got = tokio::select! {
            got = from.read(&mut self.buffer) => got?,
            () = shared.stop.cancelled() => return Ok(None),
        };
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, self.transport, Content::Text, &*shared.clock, None);
        self.framer.push(&self.buffer[..got], &mut |message, truncated| {
            lead.truncated = truncated;
            frames.push(lead, message);
        });
        Ok(give(frames, self.transport, shared).await.then_some(got))
    }

    /// Gives an unfinished last line to the log.
    async fn finish(&mut self, shared: &Shared) {
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, self.transport, Content::Text, &*shared.clock, None);
        self.framer.finish(&mut |message, truncated| {
            lead.truncated = truncated;
            frames.push(lead, message);
        });
        give(frames, self.transport, shared).await;
    }
}

/// False where the log is closed.
async fn give(frames: Frames, transport: Transport, shared: &Shared) -> bool {
    if frames.is_empty() {
        return true;
    }
    count(transport, frames.len(), frames.byte_len());
    shared.appender.append(frames).await.is_ok()
}
