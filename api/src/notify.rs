//! Telling people: one message for each new alert and destination, from the outbox, tried again until it arrives.
//!
//! Each destination has a thread of its own, so that a dead one does not hold up another. A message carries the alert's id as
//! `Idempotency-Key`: at least once, and the receiver can tell a repeat.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use event::{Clock, Time};
use rules::alert::Alert;
use tracing::{info, warn};

use crate::store::{Due, Store};

/// How long a message is tried.
const TRY_NS: i64 = 72 * 3600 * 1_000_000_000;
/// The first and the longest time between two tries.
const WAIT_MIN_NS: i64 = 1_000_000_000;
const WAIT_MAX_NS: i64 = 300 * 1_000_000_000;
/// How often the outbox is looked at where nobody says that something is new.
const LOOK: Duration = Duration::from_secs(1);
/// How long a destination may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Characters of one text in a message, and of one value.
const TEXT_CHARS_MAX: usize = 500;
const VALUE_CHARS_MAX: usize = 120;
/// Characters of a message: Slack takes 3,000 in a section.
const MESSAGE_CHARS_MAX: usize = 2900;
/// What a message says of the first event, where the alert's group does not.
const FACTS: [&str; 6] = ["source.ip", "destination.ip", "destination.port", "user.name", "host.name", "url.domain"];

/// A place where alerts are told.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// The tenant whose alerts it is told, and no other's.
    pub tenant: u32,
    /// A Slack-compatible incoming webhook.
    pub slack_webhook: String,
    /// `ja` or `en`.
    pub language: String,
}

/// Threads that deliver.
pub struct Notifier {
    threads: Vec<JoinHandle<()>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Bell {
    /// Rung at, and whether to stop.
    state: Mutex<(u64, bool)>,
    rung: Condvar,
}

impl Notifier {
    /// Starts a thread a destination. `base_url` is where links in messages lead.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn start(
        store: &Store,
        clock: &Arc<dyn Clock>,
        destinations: &[Destination],
        base_url: &str,
    ) -> std::io::Result<Notifier> {
        let bell = Arc::new(Bell::default());
        let mut threads = Vec::new();
        for destination in destinations {
            let worker = Worker {
                store: store.clone(),
                clock: clock.clone(),
                destination: destination.clone(),
                base_url: base_url.to_owned(),
                agent: agent(),
            };
            let bell = bell.clone();
            threads
                .push(std::thread::Builder::new().name(format!("notify-{}", destination.name)).spawn(move || worker.run(&bell))?);
        }
        Ok(Notifier { threads, bell })
    }

    /// Says that there may be something to deliver.
    pub fn ring(&self) {
        self.bell.state.lock().expect("no code panics under this lock").0 += 1;
        self.bell.rung.notify_all();
    }

    /// Ends the threads; what waits is delivered after the next start.
    pub fn stop(self) {
        self.bell.state.lock().expect("no code panics under this lock").1 = true;
        self.bell.rung.notify_all();
        for thread in self.threads {
            if thread.join().is_err() {
                warn!("a notifier panicked");
            }
        }
    }
}

/// No redirects, no proxy of the environment: no connection but to the one that is configured.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .max_redirects(0)
        .max_redirects_will_error(true)
        .http_status_as_error(false)
        .proxy(None)
        .user_agent("mihari")
        .build();
    config.into()
}

struct Worker {
    store: Store,
    clock: Arc<dyn Clock>,
    destination: Destination,
    base_url: String,
    agent: ureq::Agent,
}

impl Worker {
    fn run(&self, bell: &Bell) {
        let mut heard = 0;
        // Until when the destination wants to be left alone.
        let mut quiet = Time::UNKNOWN;
        loop {
            // A clock that was set back must not make it longer.
            let is_quiet = (1..=WAIT_MAX_NS).contains(&quiet.since_ns(self.clock.now()));
            let due = if is_quiet { Ok(Err(None)) } else { self.store.due(&self.destination.name) };
            match due {
                Ok(Ok(due)) => {
                    // What cannot be written down must not be sent again at once: then the bell is waited for.
                    let written = self.deliver(&due, &mut quiet);
                    if bell.state.lock().expect("no code panics under this lock").1 {
                        return;
                    }
                    if written {
                        continue;
                    }
                }
                Ok(Err(_)) => {}
                Err(error) => warn!(%error, "failed to read the outbox"),
            }
            let state = bell.state.lock().expect("no code panics under this lock");
            let (state, _) = bell
                .rung
                .wait_timeout_while(state, LOOK, |(rung, stop)| *rung == heard && !*stop)
                .expect("no code panics under this lock");
            heard = state.0;
            if state.1 {
                return;
            }
        }
    }

    /// Tries once. False where the outcome could not be written down. Of a destination that says when to come again, all that waits is held back
    /// until then (`quiet`).
    fn deliver(&self, due: &Due, quiet: &mut Time) -> bool {
        let message = match serde_json::from_str::<Alert>(&due.body) {
            Ok(alert) => message(&alert, &self.destination.language, &self.base_url),
            Err(error) => {
                return self.done(due, Some(&format!("the alert cannot be read: {error}")), None);
            }
        };
        let sent = self
            .agent
            .post(&self.destination.slack_webhook)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Idempotency-Key", &due.alert)
            .send(message.as_bytes());
        match sent {
            Ok(response) if response.status().is_success() => {
                metrics::counter!("mihari_notifications_total", "result" => "delivered").increment(1);
                self.done(due, None, None)
            }
            other => {
                let now = self.clock.now();
                if let Ok(response) = &other
                    && let Some(seconds) =
                        response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok())
                {
                    *quiet = now.plus_ns(i64::saturating_mul(seconds, 1_000_000_000).clamp(0, WAIT_MAX_NS));
                }
                // A redirect is a failure too: we go nowhere that is not configured.
                let error = match other {
                    Ok(response) => format!("the destination answered {}", response.status()),
                    Err(error) => error.to_string(),
                };
                metrics::counter!("mihari_notifications_total", "result" => "failed").increment(1);
                let wait_ns = WAIT_MIN_NS.saturating_mul(1 << due.attempts.min(20)).min(WAIT_MAX_NS);
                // A part of the wait by the alert's id, so that a burst does not come back as one.
                let spread = due.alert.bytes().map(i64::from).sum::<i64>() % 250;
                let next = now.plus_ns((wait_ns + wait_ns / 1000 * spread).min(WAIT_MAX_NS));
                let next = (now.since_ns(due.created) < TRY_NS).then_some(next);
                self.done(due, Some(&error), next)
            }
        }
    }

    fn done(&self, due: &Due, error: Option<&str>, next: Option<Time>) -> bool {
        match error {
            None => info!(destination = self.destination.name, alert = due.alert, "alert told"),
            Some(error) => warn!(destination = self.destination.name, alert = due.alert, error, "failed to tell an alert"),
        }
        let written = self.store.delivered(due, &self.destination.name, error, next);
        if let Err(error) = &written {
            warn!(%error, "failed to write the outbox");
        }
        written.is_ok()
    }
}

/// An instant as people in Japan read it: `2026-04-01 09:00:00`.
fn in_japan(time: Time) -> String {
    time.plus_ns(9 * 3600 * 1_000_000_000).to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A level in the language of the message.
fn level(name: &str, language: &str) -> String {
    let japanese = match name {
        "critical" => "緊急",
        "high" => "高",
        "medium" => "中",
        "low" => "低",
        "informational" => "情報",
        other => other,
    };
    if language == "ja" { japanese.to_owned() } else { name.to_owned() }
}

/// The message as Slack's incoming webhooks take it: what, where to look, since when and how often, who and whom, and what to do. The plain text
/// is what a telephone shows, and what those who take no blocks (Mattermost, Rocket.Chat) have, so it has the link too.
pub(crate) fn message(alert: &Alert, language: &str, base_url: &str) -> String {
    let of = |texts: &std::collections::BTreeMap<String, String>| texts.get(language).or_else(|| texts.values().next()).cloned();
    let title = escape(&of(&alert.title).unwrap_or_else(|| alert.rule.title.clone()), TEXT_CHARS_MAX);
    let escape = |text: &str| escape(text, TEXT_CHARS_MAX);
    let is_japanese = language == "ja";
    let level = level(&alert.rule.level, language);
    let link = format!("<{base_url}/alerts/{}>", alert.id);
    let (first, last) = (in_japan(alert.first), in_japan(alert.last));
    // Of the same day, the time is enough.
    let until = if first == last {
        String::new()
    } else {
        format!(" – {}", if first[..10] == last[..10] { &last[11..] } else { &last })
    };
    let times = if is_japanese { format!("{}回", alert.count) } else { format!("{} times", alert.count) };
    let mut lines = vec![format!("*[{level}] {title}*"), link.clone(), format!("{first}{until} JST, {times}")];
    let facts = FACTS.iter().filter(|name| alert.group.get(name).is_none());
    let facts = facts.filter_map(|name| Some((*name, alert.fields.get(name)?)));
    let all = alert.group.iter().chain(facts);
    let all: Vec<String> =
        all.map(|(name, value)| format!("{} = {}", escape(name), self::escape(value, VALUE_CHARS_MAX))).collect();
    if !all.is_empty() {
        lines.push(all.join(", "));
    }
    if let Some(clause) = &alert.clause {
        lines.push(format!("{} §{}", if is_japanese { "方針" } else { "Policy" }, escape(clause)));
    }
    lines.extend(of(&alert.meaning).map(|t| escape(&t)));
    lines.extend(
        of(&alert.first_steps).map(|t| format!("{}: {}", if is_japanese { "最初の対応" } else { "First steps" }, escape(&t))),
    );
    let text = lines.join("\n");
    let block = serde_json::json!({"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": text.chars().take(MESSAGE_CHARS_MAX).collect::<String>()}});
    serde_json::json!({"text": format!("[{level}] {title} {link}"), "blocks": [block], "unfurl_links": false}).to_string()
}

/// What an attacker wrote stays text: no markup, no mention, no control character, not endless. Within a word `_` marks up nothing, and a name
/// such as `svc_backup` can be copied from the message.
fn escape(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * chars_max));
    let mut marked = event::hidden::mark(text).peekable();
    let mut in_word = false;
    for _ in 0..chars_max {
        let Some((c, hidden)) = marked.next() else { return out };
        let is_within = in_word && marked.peek().is_some_and(|(next, _)| next.is_alphanumeric());
        in_word = c.is_alphanumeric();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push('＠'),
            '_' if is_within => out.push(c),
            '*' | '_' | '~' | '`' => {
                out.push('\u{200b}');
                out.push(c);
            }
            _ if hidden => out.push('␛'),
            c => out.push(c),
        }
    }
    if marked.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_attacker_wrote_stays_text() {
        let escape = |text: &str| super::escape(text, 500);
        let escaped = escape("<!channel> @here *bold* \u{202e}x\u{1b}[31m \u{ad}\u{2028}\u{e0041} <http://evil|click>");
        assert!(!escaped.contains(['<', '@', '\u{202e}', '\u{1b}', '\u{ad}', '\u{2028}', '\u{e0041}']), "{escaped:?}");
        assert_eq!(escape(&"x".repeat(10_000)).chars().count(), 501);
        assert_eq!(escape("svc_backup"), "svc_backup");
        assert_eq!(escape("_x_"), "\u{200b}_x\u{200b}_");
    }
}
