//! What Linux hosts log by syslog: sshd, sudo, su, PAM, cron.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise, address, number};
use crate::decode::text::Context;

pub(super) struct Reader {
    sshd: Kind,
    sudo: Kind,
    su: Kind,
    pam: Kind,
    cron: Kind,
    pam_module: FieldId,
    sudo_tty: FieldId,
    ssh_method: FieldId,
    ssh_signature: FieldId,
    count: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let linux = |format, service| Kind::new(format, Some("linux"), None, Some(service));
        Reader {
            sshd: linux("sshd", "sshd"),
            sudo: linux("sudo", "sudo"),
            su: linux("su", "auth"),
            pam: linux("pam", "auth"),
            cron: linux("cron", "cron"),
            pam_module: FieldId::known("pam.module"),
            sudo_tty: FieldId::known("system.auth.sudo.tty"),
            ssh_method: FieldId::known("system.auth.ssh.method"),
            ssh_signature: FieldId::known("system.auth.ssh.signature"),
            count: FieldId::known("event.count"),
        }
    }

    fn sshd(&self, message: &str, row: &mut RowBuilder<'_>) {
        let (word, rest) = message.split_once(' ').unwrap_or((message, ""));
        match word {
            "Accepted" | "Failed" | "Postponed" => {
                let Some((method, rest)) = rest.split_once(" for ") else { return };
                let Some((user, rest)) = rest.rsplit_once(" from ") else { return };
                let accepted = word == "Accepted";
                row.text(FieldId::EVENT_ACTION, "ssh_login");
                if word != "Postponed" {
                    outcome(row, accepted);
                }
                row.text(self.ssh_method, method);
                user_name(row, user.strip_prefix("invalid user ").or(user.strip_prefix("illegal user ")).unwrap_or(user));
                self.peer(rest, row);
            }
            "Invalid" | "Illegal" => {
                let Some((user, rest)) = rest.strip_prefix("user ").and_then(|r| r.rsplit_once(" from ").or(Some((r, ""))))
                else {
                    return;
                };
                row.text(FieldId::EVENT_ACTION, "ssh_login");
                outcome(row, false);
                user_name(row, user);
                self.peer(rest, row);
            }
            "error:" | "fatal:" => self.sshd(rest, row),
            "maximum" => {
                let Some((user, rest)) =
                    rest.strip_prefix("authentication attempts exceeded for ").and_then(|r| r.rsplit_once(" from "))
                else {
                    return;
                };
                row.text(FieldId::EVENT_ACTION, "ssh_login");
                outcome(row, false);
                user_name(row, user.strip_prefix("invalid user ").unwrap_or(user));
                self.peer(rest, row);
            }
            "Connection" | "Disconnected" | "Received" | "Disconnecting" => {
                // `Connection closed by [authenticating|invalid user NAME] ADDRESS port N [preauth]`
                let Some(rest) = [" by ", " from ", "Disconnecting "].iter().find_map(|m| Some(message.split_once(m)?.1)) else {
                    return;
                };
                row.text(FieldId::EVENT_ACTION, "ssh_disconnect");
                let rest = rest.strip_prefix("authenticating ").or(rest.strip_prefix("invalid ")).unwrap_or(rest);
                let rest = match rest.strip_prefix("user ").and_then(|r| r.split_once(" port ")) {
                    Some((who, _)) => {
                        let (user, _) = who.rsplit_once(' ').unwrap_or(("", who));
                        user_name(row, user);
                        &rest[5 + user.len()..]
                    }
                    None => rest,
                };
                self.peer(rest.trim_start(), row);
            }
            _ => {
                // `Did not receive identification string from ADDRESS [port N]`, `User NAME from ADDRESS not allowed because ...`
                if let Some((user, rest)) = message.strip_prefix("User ").and_then(|r| r.split_once(" from ")) {
                    row.text(FieldId::EVENT_ACTION, "ssh_login");
                    outcome(row, false);
                    user_name(row, user);
                    self.peer(rest, row);
                } else if let Some((_, rest)) = message.rsplit_once(" from ") {
                    self.peer(rest, row);
                }
            }
        }
    }

    /// `ADDRESS [port N] [ssh2][: KEY]`
    fn peer(&self, text: &str, row: &mut RowBuilder<'_>) {
        let (who, rest) = text.split_once(' ').unwrap_or((text, ""));
        address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, who.trim_end_matches([':', ',']));
        let Some(rest) = rest.strip_prefix("port ") else { return };
        let (port, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        number(row, FieldId::SOURCE_PORT, port);
        if let Some(signature) = rest.strip_prefix(" ssh2: ") {
            row.text(self.ssh_signature, signature);
        }
    }

    fn sudo(&self, message: &str, row: &mut RowBuilder<'_>) {
        let Some((user, rest)) = message.trim_start().split_once(" : ") else { return };
        user_name(row, user);
        row.text(FieldId::EVENT_ACTION, "sudo");
        let mut failed = false;
        // The command comes last and may hold anything, also ` ; `.
        let (head, command) = rest.split_once("COMMAND=").map_or((rest, None), |(head, command)| (head, Some(command)));
        for part in head.split(" ; ") {
            let part = part.trim();
            match part.split_once('=') {
                Some(("TTY", tty)) => row.text(self.sudo_tty, tty),
                Some(("PWD", path)) => row.text(FieldId::PROCESS_WORKING_DIRECTORY, path),
                Some(("USER", target)) => row.text(FieldId::USER_EFFECTIVE_NAME, target),
                Some(("GROUP", group)) => row.text(FieldId::GROUP_NAME, group),
                Some(_) => {}
                None if !part.is_empty() => {
                    failed = true; // `3 incorrect password attempts`, `user NOT in sudoers`, `command not allowed`
                    row.text(FieldId::EVENT_REASON, part);
                }
                None => {}
            }
        }
        if let Some(command) = command {
            row.text(FieldId::PROCESS_COMMAND_LINE, command);
        }
        outcome(row, !failed);
    }

    /// `pam_unix(sshd:auth): authentication failure; logname= uid=0 ... rhost=203.0.113.9  user=root`
    fn pam(&self, message: &str, row: &mut RowBuilder<'_>) {
        let Some((module, text)) = message.split_once("): ") else { return };
        row.text(self.pam_module, module.split('(').next().unwrap_or(module));
        if let Some((what, details)) = text.split_once("; ").filter(|(what, _)| what.contains("failure")) {
            row.text(FieldId::EVENT_ACTION, what);
            outcome(row, false);
            for pair in crate::decode::pairs::pairs(details) {
                match pair.key {
                    "rhost" => address(row, FieldId::SOURCE_IP, FieldId::SOURCE_DOMAIN, pair.value),
                    "user" => user_name(row, pair.value),
                    _ => {}
                }
            }
        } else if let Some((state, rest)) = text.strip_prefix("session ").and_then(|r| r.split_once(" for user ")) {
            row.text(FieldId::EVENT_ACTION, if state == "opened" { "session_opened" } else { "session_closed" });
            outcome(row, true);
            let end = rest.find(['(', ' ']).unwrap_or(rest.len());
            user_name(row, &rest[..end]);
            if let Some(id) = rest[end..].strip_prefix("(uid=").and_then(|r| r.split_once(')')) {
                row.text(FieldId::USER_ID, id.0);
            }
        } else if let Some((_, user)) = text.rsplit_once("user=").or(text.rsplit_once("user unknown")) {
            user_name(row, user);
        }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["sshd", "sudo", "su", "pam", "cron"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything()
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some(app) = context.header.app else { return false };
        let message = context.header.message;
        let app = app.rsplit('/').next().unwrap_or(app);
        let kind = match app {
            "sshd" | "sshd-session" | "sshd-auth" => self.sshd,
            "sudo" => self.sudo,
            "su" => self.su,
            "CRON" | "cron" | "crond" => self.cron,
            _ if message.starts_with("pam_") => self.pam,
            _ => return false,
        };
        kind.mark(row);
        row.text(FieldId::MESSAGE, message);
        row.text(FieldId::EVENT_CATEGORY, if app.eq_ignore_ascii_case("cron") { "process" } else { "authentication" });
        let (message, times) = repeated(message);
        if let Some(times) = times {
            number(row, self.count, times);
        }
        if message.starts_with("pam_") {
            self.pam(message, row);
        } else {
            match app {
                "sudo" => self.sudo(message, row),
                "su" => su(message, row),
                "CRON" | "cron" | "crond" => cron(message, row),
                _ => self.sshd(message, row),
            }
        }
        true
    }
}

/// `message repeated 5 times: [ Failed password ... ]`
fn repeated(message: &str) -> (&str, Option<&str>) {
    let read = || {
        let (times, rest) = message.strip_prefix("message repeated ")?.split_once(" times: [ ")?;
        Some((rest.strip_suffix(']')?.trim_end(), times))
    };
    read().map_or((message, None), |(inner, times)| (inner, Some(times)))
}

fn su(message: &str, row: &mut RowBuilder<'_>) {
    row.text(FieldId::EVENT_ACTION, "su");
    let good = message.strip_prefix("Successful su for ").or(message.strip_prefix("(to "));
    let bad = message.strip_prefix("FAILED su for ").or(message.strip_prefix("FAILED SU (to "));
    if good.is_some() || bad.is_some() {
        outcome(row, good.is_some());
    }
    if let Some((target, by)) = good.or(bad).and_then(|r| r.split_once(" by ").or(r.split_once(") "))) {
        row.text(FieldId::USER_EFFECTIVE_NAME, target);
        user_name(row, by.split(' ').next().unwrap_or(by));
    }
}

fn cron(message: &str, row: &mut RowBuilder<'_>) {
    if let Some((user, rest)) = message.strip_prefix('(').and_then(|r| r.split_once(") "))
        && let Some(command) = rest.strip_prefix("CMD (").and_then(|r| r.strip_suffix(')'))
    {
        user_name(row, user);
        row.text(FieldId::EVENT_ACTION, "cron_command");
        row.text(FieldId::PROCESS_COMMAND_LINE, command.trim());
    }
}

fn outcome(row: &mut RowBuilder<'_>, success: bool) {
    row.text(FieldId::EVENT_OUTCOME, if success { "success" } else { "failure" });
}

fn user_name(row: &mut RowBuilder<'_>, user: &str) {
    if !user.is_empty() {
        row.text(FieldId::USER_NAME, user);
    }
}
