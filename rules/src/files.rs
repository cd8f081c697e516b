//! The files that a user names: rules, and what they are read with. Folders stand for what lies below them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::ruleset::{Problem, Source};
use crate::yaml::FILE_BYTES_MAX;

/// How the names of rule files end.
pub const RULE_FILES: [&str; 2] = ["yml", "yaml"];

/// Whether a file's name ends in one of these ways, in letters of either case.
pub(crate) fn ends_in(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

/// The files at `paths`, by name: those that are named themselves, and of folders the regular files that end in one of these ways, with all
/// that lies below. A folder is looked at once, however many links lead there; what begins with a dot (`.git`) is not. Also says what could not
/// be looked at.
pub fn find_files(paths: &[PathBuf], extensions: &[&str]) -> (Vec<PathBuf>, Vec<Problem>) {
    let (mut folders, mut found): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) = paths.iter().cloned().partition(|path| path.is_dir());
    let (mut seen, mut problems) = (BTreeSet::new(), Vec::new());
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    while let Some(folder) = folders.pop_first() {
        let listed = folder.canonicalize().and_then(|real| {
            let new = seen.insert(real);
            let entries = new.then(|| std::fs::read_dir(&folder)).transpose()?;
            entries.into_iter().flatten().map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()
        });
        let within = listed.unwrap_or_else(|error| {
            problems.push(unreadable(&folder, &error.to_string()));
            Vec::new()
        });
        for path in within.into_iter().filter(|path| !is_hidden(path)) {
            match std::fs::metadata(&path) {
                Ok(about) if about.is_dir() => drop(folders.insert(path)),
                Ok(about) if about.is_file() && ends_in(&path, extensions) => drop(found.insert(path)),
                Err(error) if ends_in(&path, extensions) => problems.push(unreadable(&path, &error.to_string())),
                Ok(_) | Err(_) => {}
            }
        }
    }
    (found.into_iter().collect(), problems)
}

/// Reads the rule files (`.yml`, `.yaml`) at `paths`, as [`find_files`] finds them. Gives the texts and what could not be read.
pub fn read_files(paths: &[PathBuf]) -> (Vec<Source>, Vec<Problem>) {
    read_files_of(paths, &RULE_FILES)
}

/// The same of files that end in other ways.
pub(crate) fn read_files_of(paths: &[PathBuf], extensions: &[&str]) -> (Vec<Source>, Vec<Problem>) {
    let (found, mut problems) = find_files(paths, extensions);
    let mut files = Vec::new();
    for path in found {
        match read_file(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(problem) => problems.push(problem),
        }
    }
    (files, problems)
}

fn unreadable(path: &Path, reason: &str) -> Problem {
    Problem { path: path.display().to_string(), line: 1, refused: true, reason: reason.to_owned(), hint: None }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error.to_string()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(unreadable(path, &format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Problem { line, hint: Some("save the file as UTF-8".to_owned()), ..unreadable(path, "not UTF-8") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_looked_at_once_and_only_their_plain_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("below/.git")).expect("made");
        for name in ["a.yml", "below/b.YAML", "below/c.txt", "below/.git/d.yml", ".e.yml"] {
            std::fs::write(at(name), "title: x\n").expect("written");
        }
        for name in ["again", "and_again", "below/up"] {
            std::os::unix::fs::symlink(dir.path(), at(name)).expect("linked");
        }
        std::os::unix::fs::symlink(at("nowhere"), at("gone.yml")).expect("linked");
        assert!(std::process::Command::new("mkfifo").arg(at("pipe.yml")).status().expect("runs").success());
        let (found, problems) = find_files(&[dir.path().to_owned(), at("below/c.txt")], &RULE_FILES);
        assert_eq!(found, [at("a.yml"), at("below/b.YAML"), at("below/c.txt")]);
        assert_eq!(problems.iter().map(|p| Path::new(&p.path)).collect::<Vec<_>>(), [at("gone.yml")]);
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("latin.yml"), b"title: A\nauthor: Ren\xe9\n").expect("written");
        let (files, problems) = read_files(&[dir.path().to_owned()]);
        assert_eq!((files.len(), problems.len()), (0, 1));
        assert_eq!((problems[0].line, problems[0].reason.as_str(), problems[0].refused), (2, "not UTF-8", true));
    }
}
