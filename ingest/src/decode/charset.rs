//! Text out of the bytes of a record, whichever of Japan's character sets it is in. The bytes themselves stay in the journal.
//!
//! A device is configured to one character set, and still its records are mixed: a relay adds a header, a program writes UTF-8 into the log of
//! one that writes Shift_JIS. So a record that is UTF-8 throughout is read as that, and else each stretch between ASCII characters that are in no
//! character set the second byte of a character (all below `0x40`) is judged by itself.

use std::borrow::Cow;

use encoding_rs::{EUC_JP, Encoding, ISO_2022_JP, SHIFT_JIS};

use super::settings::Charset;

/// Begins a change of character set (ISO/IEC 2022); plain text has none.
const ESCAPE: u8 = 0x1b;

/// The record as text, and whether every byte could be read.
pub(super) fn to_text(bytes: &[u8], charset: Option<Charset>) -> (Cow<'_, str>, bool) {
    let encoding = match charset {
        None | Some(Charset::Utf8) => {
            return match std::str::from_utf8(bytes) {
                Ok(text) => (Cow::Borrowed(text), true),
                Err(_) => (String::from_utf8_lossy(bytes), false),
            };
        }
        Some(Charset::Iso2022Jp) => return iso_2022_jp(bytes),
        Some(Charset::ShiftJis) => SHIFT_JIS,
        Some(Charset::EucJp) => EUC_JP,
    };
    match is_plain(bytes) {
        Some(text) => (Cow::Borrowed(text), true),
        None => by_stretch(bytes, encoding),
    }
}

/// The text, where it is UTF-8 beyond doubt: Japanese characters have three bytes there. A pair of bytes that UTF-8 allows is in Shift_JIS
/// two half-width letters, and in EUC-JP a character.
fn is_plain(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|c| c.is_ascii() || c >= '\u{800}').then_some(text)
}

/// Each stretch of bytes from `0x40` on by itself: UTF-8, or else `encoding`.
fn by_stretch<'b>(bytes: &'b [u8], encoding: &'static Encoding) -> (Cow<'b, str>, bool) {
    let (text, failed) = encoding.decode_without_bom_handling(bytes);
    let mixed = bytes.split(|b| *b < 0x40).any(|stretch| !stretch.is_ascii() && is_plain(stretch).is_some());
    if !mixed {
        return (text, !failed);
    }
    let mut out = String::with_capacity(2 * bytes.len());
    let mut intact = true;
    for stretch in bytes.split_inclusive(|b| *b < 0x40) {
        if let Some(text) = is_plain(stretch) {
            out.push_str(text);
        } else {
            let (text, failed) = encoding.decode_without_bom_handling(stretch);
            out.push_str(&text);
            intact &= !failed;
        }
    }
    (Cow::Owned(out), intact)
}

/// Seven bits with escapes; what has the eighth bit is of another character set. A record that ends within a character is marked.
fn iso_2022_jp(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let Some(first) = memchr::memchr(ESCAPE, bytes) else { return to_text(bytes, None) };
    // Before the first escape the text is what it is, also UTF-8; behind it the decoder follows the escapes.
    let (before, rest) = bytes.split_at(first);
    let (before, before_intact) = to_text(before, None);
    let mut out = before.into_owned();
    let mut intact = before_intact;
    // A stretch with the eighth bit can only be after a return to ASCII.
    let mut rest = rest;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        let (text, failed) = ISO_2022_JP.decode_without_bom_handling(&rest[..end]);
        out.push_str(&text);
        intact &= !failed;
        rest = &rest[end..];
        let other = rest.iter().position(|b| *b == ESCAPE).unwrap_or(rest.len());
        let (text, whole) = to_text(&rest[..other], None);
        out.push_str(&text);
        intact &= whole;
        rest = &rest[other..];
    }
    (Cow::Owned(out), intact)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "個人番号 ログイン失敗 ① ﾃｽﾄ 表示 user=花子";

    fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
        let (bytes, _, failed) = encoding.encode(text);
        assert!(!failed, "{text} is in {}", encoding.name());
        bytes.into_owned()
    }

    #[test]
    fn each_character_set_is_read() {
        for (charset, encoding) in [(Charset::ShiftJis, SHIFT_JIS), (Charset::EucJp, EUC_JP)] {
            assert_eq!(to_text(&encoded(TEXT, encoding), Some(charset)), (Cow::Borrowed(TEXT), true));
        }
        // JIS X 0208 only: ISO-2022-JP has no half-width letters of its own.
        let text = "個人番号 ログイン失敗 表示";
        assert_eq!(to_text(&encoded(text, ISO_2022_JP), Some(Charset::Iso2022Jp)), (Cow::Borrowed(text), true));
        assert_eq!(to_text(TEXT.as_bytes(), None), (Cow::Borrowed(TEXT), true));
        assert!(!to_text(b"\xff\xfe", None).1);
    }

    #[test]
    fn records_of_two_character_sets_are_read() {
        for (charset, encoding) in [(Charset::ShiftJis, SHIFT_JIS), (Charset::EucJp, EUC_JP)] {
            // A record in UTF-8 from a device that is said to write another.
            assert_eq!(to_text(TEXT.as_bytes(), Some(charset)), (Cow::Borrowed(TEXT), true));
            // Both in one line: a relay's header in UTF-8, the device's text behind it.
            let line =
                [b"<13>host=\xe5\xba\x81\xe8\x88\x8e msg=\"".as_slice(), &encoded("失敗 表示", encoding), b"\" end"].concat();
            assert_eq!(to_text(&line, Some(charset)), (Cow::Borrowed("<13>host=庁舎 msg=\"失敗 表示\" end"), true));
            // Half a character at the end, as truncation leaves it, costs itself only.
            let cut = [encoded("失敗", encoding).as_slice(), b" ", &encoded("失", encoding)[..1]].concat();
            let (text, intact) = to_text(&cut, Some(charset));
            assert!(text.starts_with("失敗 ") && !intact, "{text:?}");
        }
        let line =
            [b"\xe5\xba\x81 ".as_slice(), &encoded("失敗 x", ISO_2022_JP), b" \xe8\x88\x8e ", &encoded("表示", ISO_2022_JP)]
                .concat();
        assert_eq!(to_text(&line, Some(Charset::Iso2022Jp)), (Cow::Borrowed("庁 失敗 x 舎 表示"), true));
        assert_eq!(to_text("庁舎".as_bytes(), Some(Charset::Iso2022Jp)), (Cow::Borrowed("庁舎"), true));
    }

    #[test]
    fn half_width_letters_are_not_taken_for_utf_8() {
        // Two bytes that UTF-8 would read as one Latin letter.
        let bytes = encoded("ﾃｱ", SHIFT_JIS);
        assert!(std::str::from_utf8(&bytes).is_ok());
        assert_eq!(to_text(&bytes, Some(Charset::ShiftJis)), (Cow::Borrowed("ﾃｱ"), true));
    }
}
