//! Lines of a file that grows, and of standard input.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::{Content, Frames, TenantId, Transport};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tracing::{info, warn};

use super::join::{Joiner, Multiline, pause};
use super::{Framer, Shared, count, head};
use crate::table_head::TableHead;

/// How often a file at its end is looked at again.
const POLL_TIME: Duration = Duration::from_millis(250);
/// How often the old file is looked at once a new one has its name.
const LAST_LOOKS: usize = 4;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Bytes at the beginning of a file, and before the place where reading begins, in which the head of a table is looked for.
const HEAD_BYTES: u64 = 64 * 1024;

/// Follows the file at `path` by name: when it is replaced or cut, the new one is read from its start.
pub(super) async fn follow(path: PathBuf, from_start: bool, mut lines: Lines, shared: Shared) {
    let mut from_start = from_start;
    let mut poll = tokio::time::interval(POLL_TIME);
    let mut warned = false;
    loop {
        match follow_one(&path, from_start, &mut lines, &shared).await {
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

async fn follow_one(path: &Path, from_start: bool, lines: &mut Lines, shared: &Shared) -> io::Result<Ended> {
    let mut file = File::open(path).await?;
    let inode = file.metadata().await?.ino();
    let mut place = 0;
    if !from_start {
        let end = file.seek(io::SeekFrom::End(0)).await?;
        // What the columns of a table are stands before the lines that are read: at the head of the file, or at a later change.
        for from in [0, end.saturating_sub(HEAD_BYTES)] {
            file.seek(io::SeekFrom::Start(from)).await?;
            let mut before = Vec::new();
            (&mut file).take(HEAD_BYTES.min(end - from)).read_to_end(&mut before).await?;
            lines.learn(&before);
        }
        place = file.seek(io::SeekFrom::Start(end)).await?;
    }
    let mut poll = tokio::time::interval(POLL_TIME);
    let mut idle = Duration::ZERO;
    loop {
        match lines.read(&mut file, shared).await? {
            Some(0) => {}
            Some(got) => {
                place += got as u64;
                idle = Duration::ZERO;
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
            _ = poll.tick() => idle += POLL_TIME,
        }
        if lines.joiner.waits().is_some_and(|wait| idle >= wait) {
            lines.waited(shared).await;
        }
    }
}

/// Reads standard input to its end.
pub(super) async fn stdin(mut lines: Lines, shared: Shared) {
    let mut input = tokio::io::stdin();
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
pub(super) struct Lines {
    framer: Framer,
    /// Carried from a file to the one that takes its place, which need not have a head of its own.
    head: TableHead,
    joiner: Joiner,
    buffer: Vec<u8>,
    tenant: TenantId,
    transport: Transport,
}

impl Lines {
    pub(super) fn new(tenant: TenantId, transport: Transport, multiline: Option<Multiline>) -> Lines {
        let (head, joiner) = (TableHead::default(), Joiner::new(multiline));
        Lines { framer: Framer::lines(), head, joiner, buffer: vec![0; READ_BYTES], tenant, transport }
    }

    /// Reads once and gives whole lines to the log: how many bytes were read, or none where the listener is to stop.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin), shared: &Shared) -> io::Result<Option<usize>> {
        let got = loop {
            tokio::select! {
                got = from.read(&mut self.buffer) => break got?,
                () = pause(self.joiner.waits()) => {}
                () = shared.stop.cancelled() => return Ok(None),
            }
            self.waited(shared).await;
        };
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, self.transport, Content::Text, &*shared.clock, None);
        let mut emit = |record: &[u8], truncated| {
            lead.truncated = truncated;
            frames.push(lead, record);
        };
        let (table, joiner) = (&mut self.head, &mut self.joiner);
        self.framer.push(&self.buffer[..got], &mut |line, truncated| {
            if let Some(record) = table.record(line) {
                joiner.push(record, truncated, &mut emit);
            }
        });
        Ok(give(frames, self.transport, shared).await.then_some(got))
    }

    /// Looks for the head of a table in what is not read.
    fn learn(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            self.head.record(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    /// The record that was begun has waited long enough for a further line.
    async fn waited(&mut self, shared: &Shared) {
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, self.transport, Content::Text, &*shared.clock, None);
        self.joiner.finish(&mut |record, truncated| {
            lead.truncated = truncated;
            frames.push(lead, record);
        });
        give(frames, self.transport, shared).await;
    }

    /// Gives an unfinished last line to the log.
    async fn finish(&mut self, shared: &Shared) {
        let mut frames = Frames::default();
        let mut lead = head(self.tenant, self.transport, Content::Text, &*shared.clock, None);
        let mut emit = |record: &[u8], truncated| {
            lead.truncated = truncated;
            frames.push(lead, record);
        };
        let (table, joiner) = (&mut self.head, &mut self.joiner);
        self.framer.finish(&mut |line, truncated| {
            if let Some(record) = table.record(line) {
                joiner.push(record, truncated, &mut emit);
            }
        });
        joiner.finish(&mut emit);
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
