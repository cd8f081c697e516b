//! What a free text says of a request of HTTP, and of its answer.

use event::{FieldId, RowBuilder};

use super::{is_one_of, words};
use crate::decode::format::url;

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// Whether `text` is a request as HTTP begins: `GET /path`.
pub(in crate::decode::format) fn is_request(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(method, rest)| METHODS.contains(&method) && is_target(rest))
}

/// Whether `word` is a method of a request, as it is written there.
pub(in crate::decode::format) fn is_method(word: &str) -> bool {
    METHODS.contains(&word)
}

/// Whether the text goes on with a request: a method and a target, or a URL.
pub(super) fn asks(text: &str) -> bool {
    let mut before = "";
    words(text).any(|(_, word)| {
        let is_method = METHODS.contains(&std::mem::replace(&mut before, word));
        is_target(word) && (is_method || !word.starts_with('/'))
    })
}

/// Whether the text tells of a request: a method and a target.
pub(super) fn requests(text: &str) -> bool {
    let mut before = "";
    words(text).any(|(_, word)| METHODS.contains(&std::mem::replace(&mut before, word)) && is_target(word))
}

/// Whether `word` is what a request asks for: a path or a URL.
pub(in crate::decode::format) fn is_target(word: &str) -> bool {
    word.starts_with('/') || word.starts_with("http://") || word.starts_with("https://")
}

/// The request that a text tells of: `GET /path`, and how it was answered.
pub(super) fn request(text: &str, row: &mut RowBuilder<'_>) {
    if row.has(FieldId::HTTP_REQUEST_METHOD) || row.has(FieldId::URL_ORIGINAL) {
        return;
    }
    let (mut earlier, mut before) = ("", "");
    let mut found = false;
    let mut target = "";
    for (_, word) in words(text) {
        let status = |word: &str| word.parse::<u16>().ok().filter(|status| word.len() == 3 && (100..600).contains(status));
        let is_first = !found && is_target(word);
        // `POST 401 /path`
        let answered = if is_first && METHODS.contains(&earlier) { status(before) } else { None };
        if is_first && (METHODS.contains(&before) || answered.is_some()) {
            row.text(FieldId::HTTP_REQUEST_METHOD, if answered.is_some() { earlier } else { before });
            url(row, word);
            found = true;
            target = word;
            agent(&text[word.as_ptr() as usize - text.as_ptr() as usize + word.len()..], row);
            // `401 GET /path`
            if let Some(status) = answered.or_else(|| status(earlier)) {
                row.int(FieldId::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
                return;
            }
        } else if found
            // `GET /path 401`, `GET /path HTTP/1.1" 401`
            && (is_one_of(before.trim_end_matches(':'), &["returned", "responded", "answered", "status", "code", "statuscode"])
                || std::ptr::eq(before, target)
                || std::ptr::eq(earlier, target) && before.starts_with("HTTP/"))
            && let Some(status) = status(word)
        {
            row.int(FieldId::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
            return;
        }
        // `GET /path HTTP/1.1`
        if found
            && std::ptr::eq(before, target)
            && let Some(version) = word.strip_prefix("HTTP/")
            && !row.has(FieldId::HTTP_VERSION)
        {
            row.text(FieldId::HTTP_VERSION, version);
        }
        (earlier, before) = (before, word);
    }
}

/// The client's program behind a request in quotes: the first in quotes that is no URL.
fn agent(rest: &str, row: &mut RowBuilder<'_>) {
    let field = FieldId::USER_AGENT_ORIGINAL;
    let Some((request, rest)) = rest.split_once('"') else { return };
    if row.has(field) || !(request.is_empty() || request.trim_start().starts_with("HTTP/")) {
        return;
    }
    let mut parts = rest.split('"').skip(1).step_by(2);
    if let Some(agent) = parts.find(|part| part.contains('/') && !is_target(part)) {
        row.text(field, agent);
    }
}
