//! What became of a followed file while nobody looked: the one that was read so far under another name, and those that came after it.
//!
//! A rotated file keeps its name with a number or a date, perhaps with the ending of what has packed it: `app.log.1`, `app.log-20261126.gz`,
//! `app-2.log`. The one that was read is known by its inode or, where it was copied or packed, by the bytes that it begins with.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;

use super::file::digest;
use crate::capture::Packing;

/// Entries of a folder that are looked through.
const FOLDER_ENTRIES_MAX: usize = 10_000;
/// Bytes that are unpacked before they are read.
const AHEAD_BYTES: usize = 64 * 1024;
/// Digits of a number that grows as files get older; more are a date.
const NUMBER_DIGITS_MAX: usize = 4;

/// How far the file was read that is looked for.
pub(super) struct Known {
    pub(super) inode: u64,
    pub(super) next: u64,
    /// The digest of so many bytes that it begins with.
    pub(super) first: u64,
    pub(super) first_bytes: usize,
}

/// A file with records that were not read.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// Where reading goes on, in bytes as they are without packing.
    pub(super) from: u64,
    pub(super) packed: bool,
}

/// An entry of the folder.
struct Entry {
    path: PathBuf,
    inode: u64,
    modified: SystemTime,
    /// The digits of its name, where it is that of a rotated file.
    digits: Option<String>,
}

impl Known {
    fn is(&self, entry: &Entry) -> bool {
        let begins = || {
            let mut first = Vec::new();
            open(&entry.path)?.0.take(self.first_bytes as u64).read_to_end(&mut first)?;
            io::Result::Ok(first.len() == self.first_bytes && digest(&first) == self.first)
        };
        begins().unwrap_or(false)
    }
}

/// The files that lie beside the one at `path` and hold what was not read of it: first the one that was read so far, then those that came after
/// it in their order. None where that one is not found.
pub(super) fn find(path: &Path, known: &Known) -> Vec<Rotated> {
    let entries = entries(path).unwrap_or_default();
    let by_inode = entries.iter().find(|entry| entry.inode == known.inode && known.is(entry));
    let by_content = || {
        let alike = entries.iter().filter(|entry| known.first_bytes > 0 && entry.digits.is_some() && known.is(entry));
        alike.max_by_key(|entry| entry.modified)
    };
    let Some(old) = by_inode.or_else(by_content) else { return Vec::new() };
    let is_later = |entry: &&Entry| {
        entry.inode != old.inode
            && entry.modified >= old.modified
            && entry.digits.as_ref().is_some_and(|digits| old.digits.as_ref().is_none_or(|old| is_newer(digits, old)))
    };
    let mut later: Vec<&Entry> = entries.iter().filter(is_later).collect();
    later.sort_by(|a, b| (a.modified, &b.digits).cmp(&(b.modified, &a.digits)));
    let rotated = |(entry, from): (&Entry, u64)| {
        let packed = open(&entry.path).is_ok_and(|(_, packed)| packed);
        Rotated { path: entry.path.clone(), inode: entry.inode, from, packed }
    };
    std::iter::once((old, known.next)).chain(later.into_iter().map(|entry| (entry, 0))).map(rotated).collect()
}

fn entries(path: &Path) -> io::Result<Vec<Entry>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let own = path.file_name().unwrap_or_default();
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(FOLDER_ENTRIES_MAX) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && entry.file_name() != own {
            let digits = digits(&own.to_string_lossy(), &entry.file_name().to_string_lossy());
            let modified = metadata.modified()?;
            entries.push(Entry { path: entry.path(), inode: metadata.ino(), modified, digits });
        }
    }
    Ok(entries)
}

/// The digits by which a rotated file's name differs from that of the one that is followed; none where it is no such name.
fn digits(own: &str, name: &str) -> Option<String> {
    let bare = [".gz", ".zst"].into_iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let behind = bare.strip_prefix(own);
    let within = || {
        let (stem, ending) = own.rsplit_once('.')?;
        bare.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')
    };
    let added = behind.or_else(within)?;
    let is_of_date = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | 'T' | 'Z');
    let digits: String = added.chars().filter(char::is_ascii_digit).collect();
    (added.starts_with(['.', '-', '_']) && added.chars().all(is_of_date) && !digits.is_empty()).then_some(digits)
}

/// Whether the first digits are of a file that came after that of the others.
fn is_newer(digits: &str, than: &str) -> bool {
    let number = |digits: &str| (digits.len() <= NUMBER_DIGITS_MAX).then(|| digits.parse::<u32>().ok())?;
    match (number(digits), number(than)) {
        (Some(a), Some(b)) => a < b,
        (None, None) => digits > than,
        // Numbers in place of dates, or the other way: their times tell.
        _ => true,
    }
}

/// What a file holds, unpacked, and whether it was packed.
fn open(path: &Path) -> io::Result<(Box<dyn BufRead + Send>, bool)> {
    let mut input: Box<dyn BufRead + Send> = Box::new(BufReader::new(File::open(path)?));
    let Some(packing) = Packing::of(input.fill_buf()?) else { return Ok((input, false)) };
    let not_read = || io::Error::new(io::ErrorKind::InvalidData, format!("it is packed with {packing}"));
    Ok((packing.unpack(input)?.ok_or_else(not_read)?, true))
}

/// What a packed file holds. Where it is damaged, what comes before that.
pub(super) fn unpacked(path: PathBuf) -> DuplexStream {
    let (mut to, from) = tokio::io::duplex(AHEAD_BYTES);
    let runtime = Handle::current();
    // Ends with the file, or when nobody reads any more.
    tokio::task::spawn_blocking(move || {
        let mut unpack = || {
            let (mut input, _) = open(&path)?;
            let mut buffer = vec![0; AHEAD_BYTES];
            loop {
                let got = input.read(&mut buffer)?;
                if got == 0 {
                    return io::Result::Ok(());
                }
                runtime.block_on(to.write_all(&buffer[..got]))?;
            }
        };
        if let Err(error) = unpack()
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::warn!(path = %path.display(), %error, "cannot unpack all of a file that was followed");
        }
    });
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_are_known_with_their_order() {
        for (name, expected) in [
            ("app.log.1", Some("1")),
            ("app.log.12.gz", Some("12")),
            ("app.log-20261126", Some("20261126")),
            ("app.log-20261126.zst", Some("20261126")),
            ("app.log_2026-11-26T10.00.00Z", Some("20261126100000")),
            ("app-20261126.log", Some("20261126")),
            ("app.2.log.gz", Some("2")),
            ("app.log.bak", None),
            ("app.log.gz", None),
            ("app2.log", None),
            ("app.log.1.tmp", None),
            ("other.log.1", None),
            ("app.log", None),
        ] {
            assert_eq!(digits("app.log", name).as_deref(), expected, "{name}");
        }
        assert!(is_newer("1", "2") && is_newer("9", "10") && !is_newer("3", "2"));
        assert!(is_newer("20261126", "20261125") && !is_newer("20261125", "20261126"));
    }
}
