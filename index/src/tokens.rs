//! Words of log lines. A word is a run of letters and digits; what joins words (`.`, `-`, `/`, `@`) is not kept, so `10.0.0.1` is the
//! phrase `10 0 0 1`, and a path or a domain is found whole and in part. Chinese and Japanese characters, which know no blanks, become
//! pairs of neighbours, so that any two or more of them in a row are found.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Bytes of one word; the rest of a longer one is left out.
const WORD_BYTES_MAX: usize = 128;

/// Calls `each` with the words of `text` in lower case, in their order.
pub(crate) fn words(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut wide: Option<char> = None;
    let mut wide_alone = false;
    let end = |word: &mut String, each: &mut dyn FnMut(&str)| {
        if !word.is_empty() {
            each(word);
            word.clear();
        }
    };
    for c in text.chars().chain([' ']) {
        if is_wide(c) {
            end(&mut word, &mut each);
            if let Some(before) = wide {
                each(&String::from_iter([before, c]));
                wide_alone = false;
            } else {
                wide_alone = true;
            }
            wide = Some(c);
            continue;
        }
        if let Some(single) = wide.take()
            && wide_alone
        {
            each(single.encode_utf8(&mut [0; 4]));
        }
        if c.is_alphanumeric() {
            if word.len() < WORD_BYTES_MAX {
                word.extend(c.to_lowercase());
            }
        } else {
            end(&mut word, &mut each);
        }
    }
}

/// Kanji, kana and their relatives.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

/// [`words`] for the engine.
#[derive(Clone, Default)]
pub(crate) struct LogTokenizer;

/// The words of one text.
pub(crate) struct Words {
    words: std::vec::IntoIter<String>,
    token: Token,
}

impl Tokenizer for LogTokenizer {
    type TokenStream<'a> = Words;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words {
        let mut all = Vec::new();
        words(text, |word| all.push(word.to_owned()));
        Words { words: all.into_iter(), token: Token { position: usize::MAX, ..Token::default() } }
    }
}

impl TokenStream for Words {
    fn advance(&mut self) -> bool {
        match self.words.next() {
            Some(word) => {
                self.token.position = self.token.position.wrapping_add(1);
                self.token.text = word;
                true
            }
            None => false,
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_found() {
        for (text, expected) in [
            ("Failed password for root from 10.0.0.1", vec!["failed", "password", "for", "root", "from", "10", "0", "0", "1"]),
            ("個人番号", vec!["個人", "人番", "番号"]),
            ("a字b", vec!["a", "字", "b"]),
            ("ログinログ", vec!["ログ", "in", "ログ"]),
            ("", vec![]),
        ] {
            let mut found = Vec::new();
            super::words(text, |w| found.push(w.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
