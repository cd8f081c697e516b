//! Whatever bytes come, every reader of outside bytes goes on: no panic, no hang, output within bounds.
//!
//! `cargo test -p ingest --test fuzz` replays `tests/fuzz/TARGET/*` (inputs that once were a fault, or are of a kind that was one elsewhere), then
//! some thousand inputs that a seeded generator makes of the cases of `formats/*.yaml` and of packets made here, always the same. An input at
//! which a target panics or stands still is written beside the corpora. The changes are blind: `make fuzz` asks the same readers with inputs that
//! libFuzzer leads by what they reach, and what it finds belongs into `tests/fuzz/TARGET/` here.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a fuzzer says what it does")]
#![expect(clippy::disallowed_methods, reason = "the watch on what stands still")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use readers::{INPUT_BYTES_MAX, Target, targets};

mod readers;

/// Inputs of each target.
const INPUTS: usize = 1_500;
/// What they are made from.
const SEED: u64 = 0x6d69_6861_7269;
/// After so long one input has not ended: it never will.
const STANDS_STILL: Duration = Duration::from_secs(60);

/// xorshift64 (Marsaglia, "Xorshift RNGs").
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\x1b$B",
    b"\x1b(B",
    b"\x8f",
    b"\x81",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"=",
    b"|",
    b"%",
    b"<191>",
    b"<999>",
    b"4294967295",
    b"-1",
    b"1e999",
    b"\xf0\x9f\x92\xa9",
    b"\r\n",
    b"CEF:0|",
];

/// An input out of a seed: some changes of some kinds.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.truncate(at),
            3 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
            4 => {
                let end = (at + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                // A part of another seed in its place.
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                // A part again and again: nesting, long lists.
                let end = (at + 1 + random.below(8)).min(input.len());
                let part = input[at.min(end)..end].repeat(1 + random.below(200));
                input.splice(at..at, part);
            }
            7 if at + 4 <= input.len() => {
                let number = [0u32, 1, 0x7fff_ffff, u32::MAX, 0xffff_0000][random.below(5)];
                input[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => {
                let byte = random.next() as u8;
                input.splice(at..at, [byte]);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// The input that runs now, and since when, for the watch.
type Running = Arc<Mutex<Option<(Instant, &'static str, Vec<u8>)>>>;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = corpus(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(format!("found-{:08x}", crc32c::crc32c(input)));
    std::fs::write(&path, input).expect("written");
    path
}

fn watch(running: Running) {
    std::thread::spawn(move || {
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let now = running.lock().expect("no code panics under this lock").clone();
            if let Some((since, name, input)) = now
                && since.elapsed() > STANDS_STILL
            {
                eprintln!("{name} stands still: {}", keep(name, &input).display());
                std::process::abort();
            }
        }
    });
}

fn run(target: &mut Target, input: &[u8], running: &Running) {
    *running.lock().expect("no code panics under this lock") = Some((Instant::now(), target.name, input.to_vec()));
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    *running.lock().expect("no code panics under this lock") = None;
    if ended.is_err() {
        panic!("{} panicked: {}", target.name, keep(target.name, input).display());
    }
}

#[test]
fn no_bytes_make_a_reader_panic_or_stand_still() {
    let running = Running::default();
    watch(running.clone());
    for target in &mut targets(&Path::new(env!("CARGO_MANIFEST_DIR")).join("formats")) {
        let mut inputs = 0;
        if let Ok(entries) = std::fs::read_dir(corpus(target.name)) {
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
            files.sort();
            for file in files {
                run(target, &std::fs::read(file).expect("readable"), &running);
                inputs += 1;
            }
        }
        for seed in target.seeds.clone() {
            run(target, &seed, &running);
            inputs += 1;
        }
        let mut random = Random(SEED);
        // Making a decoder of a description costs a thousand times what a record does.
        let made = if target.name == "description" { INPUTS / 20 } else { INPUTS };
        for _ in 0..made {
            let input = mutate(&mut random, &target.seeds);
            run(target, &input, &running);
        }
        println!("{}: {} inputs", target.name, inputs + made);
    }
}
