//! 300 patterns made to be slow, each over values of 64 KiB made for them: `cargo bench -p rules --bench hostile` prints the worst, in this
//! thread's processor time.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;

use rules::cases::batch_of;
use rules::{Detector, LoadOptions, load};

const VALUE_BYTES: usize = 64 << 10;
const PATTERNS: usize = 300;
const LIMIT_MS: f64 = 50.0;

fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says how long a thread ran");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds first")
}

fn hostile(n: usize) -> String {
    let (kind, size) = (n % 10, 4 + n / 10);
    match kind {
        0 => format!("f: '{}b'", "*a".repeat(size)),
        1 => format!("f: '*{}b'", "a?".repeat(size)),
        2 => format!("f|re: '(a+)+{}$'", "b".repeat(size)),
        3 => format!("f|re: '(a|aa|a?){{1,{}}}b$'", size.min(20)),
        4 => format!("f|contains: ['{}']", (1..=size).map(|n| format!("{}b", "a".repeat(n))).collect::<Vec<_>>().join("', '")),
        5 => format!("f|re|i: '{}{}c'", "a?".repeat(size), "a".repeat(size)),
        6 => format!("f|contains: '{}*c'", "a*".repeat(size)),
        7 => format!("f|re: '(.*a){{{}}}.*c'", size.min(12)),
        8 => format!("f|endswith: '{}b'", "?a".repeat(size)),
        _ => format!("f|windash|contains: '{}-b'", " -a".repeat(size.min(3))),
    }
}

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
            let start = cpu_ns();
            detector.scan(batch, &mut found);
            let ms = (cpu_ns() - start) as f64 / 1e6;
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
