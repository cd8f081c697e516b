//! 300 patterns made to be slow, each over values of 64 KiB made for them: `cargo bench -p rules --bench hostile` prints the worst, in this
//! thread's processor time.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod clock;
#[path = "../tests/hostile/mod.rs"]
mod hostile;

use std::sync::Arc;

use clock::processor_time;
use hostile::hostile;
use rules::cases::batch_of;
use rules::{Detector, LoadOptions, load};

const VALUE_BYTES: usize = 64 << 10;
const PATTERNS: usize = 300;
const LIMIT_MS: f64 = 50.0;

fn main() {
    let values = [
        "a".repeat(VALUE_BYTES),
        "ab".repeat(VALUE_BYTES / 2),
        format!("{}b", "a".repeat(VALUE_BYTES - 1)),
        " -a".repeat(VALUE_BYTES / 3),
    ];
    let events: Vec<String> = values.iter().map(|value| format!("{{\"f\":\"{value}\"}}")).collect();
    let batches: Vec<_> = events.iter().map(|event| batch_of(&[event]).expect("an object")).collect();
    let (mut worst, mut over, mut sum) = ((0.0, String::new()), 0, 0.0);
    for n in 0..PATTERNS {
        let rule = format!("title: T\nlogsource: {{category: any}}\ndetection: {{s: {{{}}}, condition: s}}\n", hostile(n));
        let (set, problems) = load(&[("hostile".to_owned(), rule.clone())], &LoadOptions::default());
        assert!(problems.is_empty(), "{problems:?}");
        let mut detector = Detector::new(Arc::new(set));
        for batch in &batches {
            let mut found = Vec::new();
            let start = processor_time();
            detector.scan(batch, &mut found);
            let ms = (processor_time() - start).as_secs_f64() * 1e3;
            sum += ms;
            over += usize::from(ms > LIMIT_MS);
            if ms > worst.0 {
                worst = (ms, hostile(n));
            }
        }
    }
    let scans = PATTERNS * batches.len();
    println!(
        "{PATTERNS} patterns over {} values of 64 KiB: mean {:.2} ms, worst {:.2} ms ({})",
        batches.len(),
        sum / scans as f64,
        worst.0,
        worst.1
    );
    println!("{over} of {scans} above {LIMIT_MS} ms");
}
