//! Patterns that ask much of a matcher that goes back.

/// The n-th of them, as a detection: stars and question marks in turn, repetitions within repetitions, optional letters before as many that
/// are not.
pub(crate) fn hostile(n: usize) -> String {
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
