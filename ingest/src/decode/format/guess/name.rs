//! Whose a free text is: the name behind `user`, and of a login where names usually stand.

use event::{FieldId, RowBuilder};

use super::address::address;
use super::{BEFORE_ADDRESS, BEFORE_ANOTHER, behind_time, contains, is_mac, is_one_of, is_plain, words};

/// Words before a name.
const BEFORE_NAME: &[&str] = &[
    "user",
    "username",
    "user-name",
    "user_name",
    "account",
    "login",
    "name",
    "admin",
    "loginname",
    "principal",
    "accountname",
    "usr",
    "userid",
    "uid",
    "loginid",
    "ユーザー",
    "ユーザ",
    "ユーザーid",
    "ユーザid",
    "利用者",
    "利用者id",
    "利用者名",
    "職員番号",
    "ログイン名",
    "ログオン名",
    "ログインユーザー",
    "ログインユーザ",
    "ログオンユーザー",
    "ユーザー名",
    "ユーザ名",
    "アカウント",
    "アカウント名",
    "ログインid",
];

/// Words that stand where a name might, and are none.
const NO_NAME: &[&str] = &[
    "a",
    "account",
    "added",
    "agent",
    "and",
    "as",
    "at",
    "attempt",
    "authenticated",
    "authentication",
    "by",
    "cannot",
    "client",
    "connected",
    "could",
    "created",
    "credentials",
    "database",
    "deleted",
    "denied",
    "device",
    "directories",
    "directory",
    "disabled",
    "disconnected",
    "does",
    "domain",
    "entry",
    "error",
    "exec",
    "failed",
    "failure",
    "for",
    "from",
    "group",
    "had",
    "has",
    "host",
    "id",
    "in",
    "incorrect",
    "information",
    "input",
    "interface",
    "invalid",
    "ip",
    "is",
    "locked",
    "logged",
    "login",
    "logon",
    "logout",
    "mapping",
    "name",
    "names",
    "not",
    "ng",
    "of",
    "ok",
    "on",
    "or",
    "page",
    "password",
    "profile",
    "realm",
    "rejected",
    "request",
    "requested",
    "server",
    "service",
    "session",
    "success",
    "successful",
    "successfully",
    "succeeded",
    "tried",
    "to",
    "unknown",
    "user",
    "username",
    "using",
    "via",
    "was",
    "were",
    "with",
    "without",
];

/// `user "NAME"`, `user: NAME`, `user NAME`; of a `login` also the one word of `for NAME from`, `by NAME from`, `for NAME: `.
pub(super) fn name(text: &str, login: bool, row: &mut RowBuilder<'_>) -> bool {
    if row.has(FieldId::USER_NAME) {
        return false;
    }
    // `(NAME@192.0.2.7)`, `NAME@192.0.2.7: ` at the beginning
    if let Some((name, _)) = of_address(text) {
        row.text(FieldId::USER_NAME, name);
        return true;
    }
    if named(text, login, row) {
        return true;
    }
    if !login {
        return false;
    }
    if let Some(found) = opens(text) {
        row.text(FieldId::USER_NAME, found);
        return true;
    }
    let mut rest = behind_time(text);
    if rest.len() < text.len() {
        // `2026-04-01 09:00:00 [NAME] failed to login`, `.. [LOGIN] NAME logged in`
        loop {
            if let Some(found) = opens(rest) {
                row.text(FieldId::USER_NAME, found);
                return true;
            }
            let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) else { break };
            rest = after.trim_start_matches([':', ' ']); // ..., `.. [telnet:info]: NAME logged in`
        }
    }
    let behind = |word: &str| &text[word.as_ptr() as usize - text.as_ptr() as usize + word.len()..];
    let quoted = |word: &str| text[..word.as_ptr() as usize - text.as_ptr() as usize].ends_with(['"', '\'']);
    let mut last = ["", "", ""];
    for (at, word) in words(text) {
        let [_, lead, name] = last;
        // `Login NAME@192.0.2.7`, `DATABASE/NAME@192.0.2.7:40122 password authentication failed`
        if !is_plain(word)
            && let Some((of, rest)) = word.split_once('@')
            && let Some(of) = of_whom(of, name)
            && address(rest).is_some()
        {
            row.text(FieldId::USER_NAME, of);
            return true;
        }
        // `NAME(NAME) login`
        if name == word && text[..at].ends_with('(') && behind(word).starts_with(") log") && may_be_name(word) {
            row.text(FieldId::USER_NAME, bare(word));
            return true;
        }
        // `failed to authenticate NAME, `
        let ends_clause = lead.eq_ignore_ascii_case("authenticate") && behind(name).starts_with(',');
        let led = ends_clause || is_one_of(lead, &["for", "by", "as", "login", "logon", "logout"]);
        let follows = || {
            matches!(word, "from" | "via" | "through" | "by" | "using" | "on")
                || address(word).is_some()
                || is_one_of(word, BEFORE_ADDRESS) && behind(name).starts_with(',') // `for NAME, ip 192.0.2.7`
                || quoted(name)
                || ends_clause
                || name.ends_with(':')
        };
        if led && follows() && may_be_name(name) {
            row.text(FieldId::USER_NAME, bare(name));
            return true;
        }
        last = [lead, name, word];
    }
    // `from 192.0.2.7 for NAME`, `for 'NAME'`, `login for NAME`, `on behalf of NAME`, `from 192.0.2.7: 'NAME'` at the end
    let [before, lead, name] = last;
    let of_login = || is_one_of(before, &["login", "logon", "password"]);
    let led = lead.eq_ignore_ascii_case("for") && (address(before).is_some() || quoted(name) || of_login())
        || lead.eq_ignore_ascii_case("of") && before.eq_ignore_ascii_case("behalf")
        || before.eq_ignore_ascii_case("from") && lead.ends_with(':') && address(lead).is_some() && quoted(name);
    let ends = led && may_be_name(name);
    if ends {
        row.text(FieldId::USER_NAME, bare(name));
    }
    ends
}

fn bare(word: &str) -> &str {
    word.trim_matches(['[', ']', ':', '.'])
}

fn may_be_name(word: &str) -> bool {
    let bare = bare(word);
    !bare.is_empty()
        && !bare.contains(['[', ']'])
        && !NO_NAME.iter().any(|no| bare.eq_ignore_ascii_case(no))
        && address(bare).is_none()
}

/// Whose `NAME@ADDRESS` is in a text about a login, where the word before it does not say that he was to log in there.
pub(super) fn of_whom<'t>(name: &'t str, before: &str) -> Option<&'t str> {
    let bare = name.rsplit_once('/').map_or(name, |(_, bare)| bare);
    let told =
        is_one_of(before.trim_end_matches(':'), BEFORE_ANOTHER) || is_one_of(before, &["ssh", "scp", "sftp", "connect", "host"]);
    (!told && may_be_name(bare) && !bare.contains([':', '=', '/'])).then_some(bare)
}

/// Who stands with his address at the beginning of a text: `(NAME@192.0.2.7)`, `NAME@192.0.2.7: `.
pub(super) fn of_address(text: &str) -> Option<(&str, &str)> {
    let inner = match text.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?.0,
        None => text.split_once(": ").filter(|(first, _)| first.len() <= 256 && !first.contains(' '))?.0,
    };
    let (name, rest) = inner.split_once('@')?;
    (may_be_name(name) && !name.contains(' ') && address(rest).is_some()).then_some((name, rest))
}

/// The name that a login's text begins with: `NAME (ADDRESS) logged in`, `NAME logged in`, `[NAME] from`.
fn opens(text: &str) -> Option<&str> {
    let mut words = words(text);
    let ((_, first), (at, second)) = (words.next()?, words.next()?);
    let name = first.trim_matches(['[', ']']);
    let brackets = name.len() + 2 == first.len();
    let goes_on = is_one_of(second, &["logged", "authenticated", "trying"])
        || second.eq_ignore_ascii_case("failed") && (contains(&text[at..], " to log") || !brackets && text[at..].starts_with("failed log"))
        || brackets && second.eq_ignore_ascii_case("from")
        || text[..at].ends_with('(') && words.next().is_some_and(|(_, third)| third == "from") // `NAME (DOMAIN) from`
        || address(second).is_some() && text[..at].ends_with('(');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b))
        && !NO_NAME.iter().any(|no| name.eq_ignore_ascii_case(no))
        && !is_one_of(name, BEFORE_ADDRESS);
    (goes_on && is_name && text.starts_with(first)).then_some(name)
}

fn named(text: &str, login: bool, row: &mut RowBuilder<'_>) -> bool {
    let mut last = "";
    let mut label = None;
    for (at, word) in words(text) {
        let before = std::mem::replace(&mut last, word);
        let (mut lead, mut key) = (word, word);
        if !is_plain(word) {
            // `user:NAME`, `user[NAME]`
            lead = word.rsplit("][").next().unwrap_or(word).trim_start_matches('['); // `[app][user: NAME]`
            // `function():User[NAME]`
            lead = lead.strip_prefix(':').filter(|_| text[..at].ends_with("()")).unwrap_or(lead);
            key = &lead[..lead.find([':', '[']).unwrap_or(lead.len())];
        }
        if !is_one_of(key, BEFORE_NAME) {
            continue;
        }
        // `Host name: x` is nobody's.
        if key.eq_ignore_ascii_case("name") && !before.is_empty() && !is_one_of(before, BEFORE_NAME) {
            continue;
        }
        let after = &text[at + (word.len() - lead.len()) + key.len()..];
        // `Login ID: NAME`, `user name=NAME`
        let after = ["id", "name"]
            .iter()
            .find_map(|noun| {
                let (word, rest) = after.strip_prefix(' ')?.split_at_checked(noun.len())?;
                (word.eq_ignore_ascii_case(noun) && rest.starts_with([':', '='])).then_some(rest)
            })
            .unwrap_or(after);
        let rest = after.trim_start_matches([' ', ':', '=', '[', '\u{ff1a}']);
        let rest = rest.strip_prefix("is ").filter(|rest| rest.starts_with('"')).unwrap_or(rest); // `the user name is "x"`
        let rest = rest.strip_prefix("entry ").filter(|rest| rest.starts_with('(')).unwrap_or(rest);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`' | '<' | '{' | '(' | '「' | '『'));
        let found = match quote {
            Some(quote) => {
                let close = match quote {
                    '<' => '>',
                    '{' => '}',
                    '(' => ')',
                    '「' => '」',
                    '『' => '』',
                    other => other,
                };
                let inner = &rest[quote.len_utf8()..];
                inner.find(close).map(|end| &inner[..end])
            }
            None => {
                let end = rest
                    .find(|c: char| {
                        c.is_whitespace()
                            || matches!(
                                c,
                                ',' | ';' | '|' | ')' | ']' | '"' | '\'' | '(' | '、' | '。' | '」' | '\u{ff08}' | '\u{ff09}'
                            )
                    })
                    .unwrap_or(rest.len());
                Some(rest[..end].trim_end_matches(['.', ':', '!', ']']))
            }
        };
        let Some(found) = found.filter(|found| !found.is_empty() && *found != "-" && found.len() <= 256) else { continue };
        let found =
            found.split_once('@').filter(|(_, rest)| is_mac(rest) || address(rest).is_some()).map_or(found, |(name, _)| name);
        let plain = quote.is_some_and(|quote| quote != '(') || after.starts_with([':', '=', '[', '\u{ff1a}']);
        let behind = &rest[(found.as_ptr() as usize - rest.as_ptr() as usize) + found.len()..];
        // `User admin: CLI login` is of him, `user admin:NAME` of another.
        let is_admin = found.eq_ignore_ascii_case("admin") && behind.starts_with(": ");
        let led_again = is_one_of(found, BEFORE_NAME) && behind.starts_with([':', '=', '[']) && !is_admin
            || is_one_of(found, &["user", "username"]) && behind.starts_with(' ') && quote.is_none();
        let none = led_again
            || found.split_once(['=', ':']).is_some_and(|(lead, _)| is_one_of(lead, BEFORE_NAME))
            || !plain
                && (!contains(key, "user")
                    && key.is_ascii()
                    && !(login && (behind.starts_with(" logged ") || behind.starts_with(" login ")))
                    || NO_NAME.iter().any(|no| found.eq_ignore_ascii_case(no))
                    || found.contains('=')
                    || found.contains('/') && !(login && (behind.starts_with(" failed ") || behind.starts_with(" logged "))));
        // `Failed User Login: Unit: 1` names nobody, `uid=1001` no name.
        let is_label = key.eq_ignore_ascii_case("login") && quote.is_none() && behind.starts_with(": ");
        // `HTTP login: too many from 192.0.2.7`: what happened, where anything else than his whereabouts follows.
        let tells = key.eq_ignore_ascii_case("login") && quote.is_none() && after.starts_with(": ") && {
            let next = behind.strip_prefix(' ').and_then(|rest| rest.split(' ').next()).unwrap_or("");
            next.starts_with(|c: char| c.is_ascii_alphabetic())
                && !is_one_of(next, BEFORE_ADDRESS)
                && !is_one_of(next, &["at", "on", "via", "failed", "failure", "success", "succeeded", "logged"])
        };
        let is_number = contains(key, "id") && found.bytes().all(|b| b.is_ascii_digit());
        let none = none || is_label || tells || is_number || quote == Some('(') && found.contains(' ');
        if none || address(found).is_some() || found.bytes().all(|b| b.is_ascii_punctuation()) {
            continue;
        }
        // `uid:7f3a user:taro`: a number, where somebody is named behind it.
        if key.eq_ignore_ascii_case("uid") {
            label = label.or(Some(found));
            continue;
        }
        // `User Activity: Authentication failed for user 'NAME'`: a label, where somebody is named behind it.
        if !plain && !is_admin && behind.starts_with(": ") {
            label = label.or(Some(found));
            continue;
        }
        crate::decode::format::account(row, found);
        return true;
    }
    if let Some(found) = label {
        crate::decode::format::account(row, found);
    }
    label.is_some()
}
