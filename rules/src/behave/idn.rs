//! Names with other letters than those of ASCII, in the form that DNS carries (RFC 5891 §4.4, RFC 3492): `例え.jp` is `xn--r8jz45g.jp`.
//!
//! Letters are made lower case and those of full width narrow; other forms of one letter (RFC 5895) are not brought together.

use std::borrow::Cow;

/// Characters of one label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The name as DNS carries it, in lower case. None where a label would be longer than labels are.
pub(super) fn in_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.is_ascii() {
        let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
        return Some(if upper { name.to_ascii_lowercase().into() } else { name.into() });
    }
    let plain: String = name.chars().map(narrow).flat_map(char::to_lowercase).collect();
    let mut out = String::with_capacity(plain.len() + 8);
    for (at, label) in plain.split('.').enumerate() {
        if at > 0 {
            out.push('.');
        }
        if label.is_ascii() {
            out.push_str(label);
            continue;
        }
        let from = out.len();
        out.push_str("xn--");
        punycode(label, &mut out)?;
        if out.len() - from > LABEL_MAX {
            return None;
        }
    }
    Some(out.into())
}

/// Letters of full width and the full stops of East Asia as what they stand for (RFC 3490 §3.1).
fn narrow(c: char) -> char {
    match c {
        '\u{3002}' | '\u{ff61}' => '.',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Appends a label as RFC 3492 §6.3 encodes it; none where it is too long.
fn punycode(label: &str, out: &mut String) -> Option<()> {
    const BASE: u32 = 36;
    const FIRST_BIAS: u32 = 72;
    let chars: Vec<u32> = label.chars().map(u32::from).collect();
    if chars.len() > LABEL_MAX {
        return None;
    }
    let before = out.len();
    out.extend(label.chars().filter(char::is_ascii));
    let basic = (out.len() - before) as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut next, mut delta, mut bias, mut handled) = (0x80, 0u32, FIRST_BIAS, basic);
    let digit = |n: u32| char::from(if n < 26 { b'a' + n as u8 } else { b'0' + (n - 26) as u8 });
    while (handled as usize) < chars.len() {
        let least = chars.iter().copied().filter(|c| *c >= next).min()?;
        delta = delta.checked_add((least - next).checked_mul(handled + 1)?)?;
        next = least;
        for c in &chars {
            if *c < next {
                delta = delta.checked_add(1)?;
            } else if *c == next {
                let (mut rest, mut at) = (delta, BASE);
                loop {
                    let threshold = at.saturating_sub(bias).clamp(1, 26);
                    if rest < threshold {
                        break;
                    }
                    out.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
                    rest = (rest - threshold) / (BASE - threshold);
                    at += BASE;
                }
                out.push(digit(rest));
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        next += 1;
    }
    Some(())
}

/// RFC 3492 §6.1.
fn adapted(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut bias = 0;
    while delta > 455 {
        delta /= 35;
        bias += 36;
    }
    bias + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_dns_carries_them() {
        for (name, expected) in [
            ("Example.COM", "example.com"),
            ("例え.jp", "xn--r8jz45g.jp"),
            ("例え。ＪＰ", "xn--r8jz45g.jp"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("www.青森市.jp", "www.xn--7stz6v6s1b.jp"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("", ""),
        ] {
            assert_eq!(in_ascii(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(in_ascii(&"例".repeat(64)), None);
        assert_eq!(in_ascii(&format!("{}é", "a".repeat(60))), None);
    }
}
